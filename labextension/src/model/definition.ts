/** The files of the active notebook's definition, as the server's own scan of the directory reports them. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { DefinitionRecord, DeterminedRecord } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../api';

const SETTLE_MS = 150;
/** A scan that takes no longer shows what was there before, and no word of itself. */
const QUIET_MS = 1000;
/** Beyond so many files the comparison with Determined's uploader is left to `%det_files --as determined`. */
const MOST_COMPARED = 100_000;
const TOO_LARGE = 413;

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

  /** The path whose edits on disk the server should tell of: none while nobody sees them. */
  get watchedPath(): string | null {
    return this._isVisible ? this._path : null;
  }

  get record(): DefinitionRecord | null {
    return this._record;
  }

  /** Where Determined's uploader would decide otherwise; null while that is not known. */
  get comparison(): DeterminedRecord | null {
    return this._comparison;
  }

  get error(): Error | null {
    return this._error;
  }

  /** Whether there are so many paths that a person must say that they are meant. */
  get isTooLarge(): boolean {
    return this._error instanceof AnswerError && this._error.status === TOO_LARGE;
  }

  /** How many paths a scan has met so far that takes longer than a moment; null if none does. */
  get found(): number | null {
    return this._isSlow ? this._found : null;
  }

  /** Show the definition at `path`. */
  follow(path: string | null): void {
    if (path === this._path) {
      return;
    }
    this._path = path;
    this._record = null;
    this._etag = null;
    this._comparison = null;
    this._error = null;
    this._anySize = false;
    this._isWatched = false;
    this._tookMs = 0;
    this.abort();
    this._changed.emit();
    void this.refresh();
  }

  /** Say whether anybody sees the files: while nobody does, nothing is scanned. */
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

  /** Say whether the server tells of edits on disk; if not, they are looked for when the window gets the focus. */
  setWatched(isWatched: boolean): void {
    this._isWatched = isWatched;
  }

  /** The window has the focus again: edits were perhaps made elsewhere. */
  focused(): void {
    if (!this._isWatched && this._record !== null) {
      this.refreshSoon();
    }
  }

  async refresh(): Promise<void> {
    window.clearTimeout(this._timer);
    this._timer = 0;
    this._isStopped = false;
    const path = this._path;
    if (path === null || !this._isVisible) {
      return;
    }
    if (this._scan !== null) {
      // The scan under way may have passed already what is new.
      this._isStale = true;
      return;
    }
    const scan = new AbortController();
    this._scan = scan;
    this._isStale = false;
    const begun = performance.now();
    const slow = window.setTimeout(() => this.setSlow(true), QUIET_MS);
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
      this._error = null;
      if (answer !== null) {
        this._record = answer.record;
        this._etag = answer.etag;
      }
    } catch (error) {
      if (scan.signal.aborted) {
        return;
      }
      this._error = error as Error;
    } finally {
      window.clearTimeout(slow);
    }
    this._tookMs = performance.now() - begun;
    this._scan = null;
    this._found = 0;
    this._isSlow = false;
    this._changed.emit();
    if (this._isStale) {
      this.refreshSoon();
    } else if (this._error === null) {
      void this.compare(path);
    }
  }

  /**
   * Scan again when things have settled; the longer the last scan took, the longer this waits.
   *
   * What a person has stopped, or not said yes to, is scanned again only when a person says so.
   */
  refreshSoon(): void {
    if (this._timer === 0 && !this._isStopped && !this.isTooLarge) {
      this._timer = window.setTimeout(() => void this.refresh(), SETTLE_MS + this._tookMs);
    }
  }

  /** Stop the scan that takes long, and say so. */
  stop(): void {
    this.abort();
    this._isStopped = true;
    this._error = new AnswerError(0, 'The scan was stopped.');
    this._changed.emit();
  }

  /** Scan the directory though it holds very many paths. */
  scanAnyway(): void {
    this._anySize = true;
    this._error = null;
    this._changed.emit();
    void this.refresh();
  }

  /** Take notice of how far the scan is. */
  setFound(path: string, found: number): void {
    if (path === this._path && this._scan !== null && found !== this._found) {
      this._found = found;
      if (this._isSlow) {
        this._changed.emit();
      }
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

  private setSlow(isSlow: boolean): void {
    this._isSlow = isSlow;
    this._changed.emit();
  }

  private abort(): void {
    window.clearTimeout(this._timer);
    this._timer = 0;
    this._scan?.abort();
    this._scan = null;
    this._comparing?.abort();
    this._isSlow = false;
    this._found = 0;
  }

  /** Ask for the comparison, beside the listing: it takes longer, and nobody waits for it. */
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
      // The listing is what counts; whatever is wrong with the directory, its own scan says.
    }
    if (!comparing.signal.aborted && JSON.stringify(comparison) !== JSON.stringify(this._comparison)) {
      this._comparison = comparison;
      this._changed.emit();
    }
  }

  private readonly _api: Api;
  private readonly _changed = new Signal<this, void>(this);
  private _path: string | null = null;
  private _record: DefinitionRecord | null = null;
  private _etag: string | null = null;
  private _comparison: DeterminedRecord | null = null;
  private _error: Error | null = null;
  private _scan: AbortController | null = null;
  private _comparing: AbortController | null = null;
  private _anySize = false;
  private _isVisible = false;
  private _isWatched = false;
  private _isSlow = false;
  private _isStale = false;
  private _isStopped = false;
  private _found = 0;
  private _timer = 0;
  private _tookMs = 0;
}
