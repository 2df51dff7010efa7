/** The files of the active notebook's definition, as the server's own scan of the directory reports them. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { DefinitionRecord } from '../../protocol';
import type { Api } from '../api';

const SETTLE_MS = 400;

export class DefinitionModel {
  constructor(api: Api) {
    this._api = api;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The directory or file that is shown, relative to the server's root; null if there is none to show. */
  get path(): string | null {
    return this._path;
  }

  get record(): DefinitionRecord | null {
    return this._record;
  }

  get error(): Error | null {
    return this._error;
  }

  /** Show the definition at `path`. */
  follow(path: string | null): void {
    if (path === this._path) {
      return;
    }
    this._path = path;
    this._record = null;
    this._error = null;
    this._changed.emit();
    void this.refresh();
  }

  async refresh(): Promise<void> {
    window.clearTimeout(this._timer);
    const path = this._path;
    const turn = ++this._turn;
    if (path === null) {
      return;
    }
    const begun = performance.now();
    try {
      const record = await this._api.definition(path);
      if (turn !== this._turn) {
        return;
      }
      this._record = record;
      this._error = null;
    } catch (error) {
      if (turn !== this._turn) {
        return;
      }
      this._error = error as Error;
    }
    this._tookMs = performance.now() - begun;
    this._changed.emit();
  }

  /** Scan again when things have settled; the longer the last scan took, the longer this waits. */
  refreshSoon(): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => void this.refresh(), SETTLE_MS + 5 * this._tookMs);
  }

  /** Take notice of a file that changed in JupyterLab. */
  fileChanged(path: string): void {
    const root = this._path;
    if (root !== null && (root === '' || path === root || path.startsWith(`${root}/`))) {
      this.refreshSoon();
    }
  }

  dispose(): void {
    window.clearTimeout(this._timer);
    this._turn++;
    Signal.clearData(this);
  }

  private readonly _api: Api;
  private readonly _changed = new Signal<this, void>(this);
  private _path: string | null = null;
  private _record: DefinitionRecord | null = null;
  private _error: Error | null = null;
  private _timer = 0;
  private _tookMs = 0;
  private _turn = 0;
}
