/** The files of the active notebook's definition, as the server's own scan of the directory reports them. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { DefinitionRecord, DeterminedRecord } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../errors';

/**
 * What the view says about the scan. The record of an earlier scan stays on display.
 *
 * `idle`: nothing; a short scan is not mentioned. `slow`: it takes longer, and has met `found` paths so far.
 * `stopped`: by the user. `too-large`: the server asks the user to confirm the number of paths. `failed`: with `error`.
 */
export type ScanStatus =
  | { kind: 'idle' }
  | { kind: 'slow'; found: number }
  | { kind: 'stopped' }
  | { kind: 'too-large'; error: Error }
  | { kind: 'failed'; error: Error };

const SETTLE_MS = 150;
/** A shorter scan is not mentioned: the record before it stays on display. */
const QUIET_MS = 1000;
/** Above this number of files the comparison with Determined's uploader is left to `%det_files --as determined`. */
const MOST_COMPARED = 100_000;
const TOO_LARGE = 413;
const IDLE: ScanStatus = { kind: 'idle' };

export class DefinitionModel {
  constructor(api: Pick<Api, 'definition' | 'determined'>) {
    this._api = api;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The directory or file that is shown, relative to the server's root; null if there is none to show. */
  get path(): string | null {
    return this._path;
  }

  /** The path whose edits on disk the server should report: none while the files are hidden. */
  get watchedPath(): string | null {
    return this._isVisible ? this._path : null;
  }

  get record(): DefinitionRecord | null {
    return this._record;
  }

  /** Where Determined's uploader decides differently; null while that is not known. */
  get comparison(): DeterminedRecord | null {
    return this._comparison;
  }

  get status(): ScanStatus {
    return this._status;
  }

  /** Show the definition at `path`. */
  follow(path: string | null): void {
    if (path === this._path) {
      return;
    }
    this.abort();
    this._path = path;
    this._record = null;
    this._etag = null;
    this._comparison = null;
    this._status = IDLE;
    this._anySize = false;
    this._isWatched = false;
    this._watchFailure = null;
    this._tookMs = 0;
    this._changed.emit();
    void this.refresh();
  }

  /** Say whether the files can be seen: while they are hidden, nothing is scanned. */
  setVisible(isVisible: boolean): void {
    if (isVisible === this._isVisible) {
      return;
    }
    this._isVisible = isVisible;
    if (isVisible) {
      void this.refresh();
    } else {
      this.abort();
    }
    this._changed.emit();
  }

  /** Why the server cannot report edits on disk; null if it can, or was not asked. */
  get watchFailure(): Error | null {
    return this._watchFailure;
  }

  /** Say whether the server reports edits on disk; if not, they are looked for when the window gets the focus. */
  setWatched(isWatched: boolean, failure: Error | null = null): void {
    this._isWatched = isWatched;
    if (failure !== null || this._watchFailure !== null) {
      this._watchFailure = failure;
      this._changed.emit();
    }
  }

  /** The window has the focus again: files may have been edited elsewhere. */
  focused(): void {
    if (!this._isWatched && this._record !== null) {
      this.refreshSoon();
    }
  }

  async refresh(): Promise<void> {
    this.clearTimer();
    const path = this._path;
    if (path === null || !this._isVisible) {
      return;
    }
    if (this._scan !== null) {
      // The current scan may already have passed the path that changed.
      this._isStale = true;
      return;
    }
    const scan = new AbortController();
    this._scan = scan;
    this._isStale = false;
    const begun = performance.now();
    const slow = setTimeout(() => this.setStatus({ kind: 'slow', found: 0 }), QUIET_MS);
    scan.signal.addEventListener('abort', () => clearTimeout(slow), { once: true });
    let status = IDLE;
    try {
      const answer = await this._api.definition(path, {
        anySize: this._anySize,
        etag: this._etag,
        signal: scan.signal,
        onProgress: found => this.setFound(path, found)
      });
      if (scan.signal.aborted) {
        return;
      }
      if (answer !== null) {
        this._record = answer.record;
        this._etag = answer.etag;
      }
    } catch (error) {
      if (scan.signal.aborted) {
        return;
      }
      status = statusOf(error as Error);
    }
    clearTimeout(slow);
    this._tookMs = performance.now() - begun;
    this._scan = null;
    this.setStatus(status);
    if (this._isStale) {
      this.refreshSoon();
    } else if (status === IDLE) {
      void this.compare(path);
    }
  }

  /**
   * Scan again when the edits have settled; the longer the last scan took, the longer this waits.
   *
   * A scan that the user has stopped, or was asked about, begins again only when the user says so.
   */
  refreshSoon(): void {
    const { kind } = this._status;
    if (this._timer === null && kind !== 'stopped' && kind !== 'too-large') {
      this._timer = setTimeout(() => void this.refresh(), SETTLE_MS + this._tookMs);
    }
  }

  /** Stop the scan that takes long. */
  stop(): void {
    this.abort();
    this.setStatus({ kind: 'stopped' });
  }

  /** Scan the directory although it holds very many paths. */
  scanAnyway(): void {
    this._anySize = true;
    this.setStatus(IDLE);
    void this.refresh();
  }

  /** Show how far the scan is. */
  setFound(path: string, found: number): void {
    if (path === this._path && this._status.kind === 'slow' && found !== this._status.found) {
      this.setStatus({ kind: 'slow', found });
    }
  }

  /** Return whether the file, given by its path relative to the server's root, is in the definition. */
  holds(path: string): boolean {
    const root = this._path;
    return root !== null && (root === '' || path === root || path.startsWith(`${root}/`));
  }

  dispose(): void {
    this.abort();
    Signal.clearData(this);
  }

  private setStatus(status: ScanStatus): void {
    this._status = status;
    this._changed.emit();
  }

  private clearTimer(): void {
    if (this._timer !== null) {
      clearTimeout(this._timer);
      this._timer = null;
    }
  }

  private abort(): void {
    this.clearTimer();
    this._scan?.abort();
    this._scan = null;
    this._comparing?.abort();
    if (this._status.kind === 'slow') {
      this._status = IDLE;
    }
  }

  /** Ask for the comparison after the listing: it takes longer, and the listing does not wait for it. */
  private async compare(path: string): Promise<void> {
    this._comparing?.abort();
    const record = this._record;
    if (record === null || record.is_file || record.included_files > MOST_COMPARED) {
      return;
    }
    const comparing = new AbortController();
    this._comparing = comparing;
    let comparison: DeterminedRecord | null = null;
    try {
      comparison = await this._api.determined(path, { anySize: this._anySize, signal: comparing.signal });
    } catch {
      // The listing is what counts. Its own scan reports what is wrong with the directory.
    }
    if (!comparing.signal.aborted && JSON.stringify(comparison) !== JSON.stringify(this._comparison)) {
      this._comparison = comparison;
      this._changed.emit();
    }
  }

  private readonly _api: Pick<Api, 'definition' | 'determined'>;
  private readonly _changed = new Signal<this, void>(this);
  private _path: string | null = null;
  private _record: DefinitionRecord | null = null;
  private _etag: string | null = null;
  private _comparison: DeterminedRecord | null = null;
  private _status: ScanStatus = IDLE;
  private _scan: AbortController | null = null;
  private _comparing: AbortController | null = null;
  private _anySize = false;
  private _isVisible = false;
  private _isWatched = false;
  private _watchFailure: Error | null = null;
  /** Something changed since the current scan began. */
  private _isStale = false;
  /** Runs before the next scan. Not a Debouncer of Lumino's: how long it waits depends on the last scan. */
  private _timer: ReturnType<typeof setTimeout> | null = null;
  private _tookMs = 0;
}

function statusOf(error: Error): ScanStatus {
  const isTooLarge = error instanceof AnswerError && error.status === TOO_LARGE;
  return { kind: isTooLarge ? 'too-large' : 'failed', error };
}
