/** The history: pages of runs from the server, kept current by the messages of the WebSocket. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { toNumber } from '../../live/format';
import type { RunRecord } from '../../protocol';
import type { Api } from '../api';

const PAGE = 50;
/** The server gives no more at once. */
const MOST = 500;

export class RunsModel {
  constructor(api: Pick<Api, 'runs' | 'deleteRun'>) {
    this._api = api;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The runs of the pages that were fetched, newest first. */
  get list(): readonly RunRecord[] {
    return this._list;
  }

  get state(): 'loading' | 'ready' | 'failed' {
    return this._state;
  }

  get error(): Error | null {
    return this._error;
  }

  get hasMore(): boolean {
    return this._hasMore;
  }

  get(runId: string): RunRecord | null {
    return this._byId.get(runId) ?? null;
  }

  /** Return the newest run that this kernel trained, in the session if one is named. */
  newestOf(kernelId: string, sessionId: string | null = null): RunRecord | null {
    const isIts = (run: RunRecord): boolean =>
      run.kernel_id === kernelId && (sessionId === null || run.session?.session_id === sessionId);
    return newestFirst(this._byId.values()).find(isIts) ?? null;
  }

  /** Fetch again what is shown: the first page at least, all pages that were fetched at most. */
  async refresh(): Promise<void> {
    const limit = Math.min(MOST, Math.max(PAGE, Math.ceil(this._list.length / PAGE) * PAGE));
    await this.fetch(limit, null);
  }

  async loadMore(): Promise<void> {
    const last = this._list.at(-1);
    if (this._hasMore && !this._fetching && last !== undefined) {
      await this.fetch(PAGE, last.id);
    }
  }

  /** Delete a run, its curves and its checkpoints; the server's refusal is thrown. */
  async delete(runId: string): Promise<void> {
    await this._api.deleteRun(runId);
    this.remove([runId]);
  }

  /** Forget runs that were deleted. */
  remove(runIds: readonly string[]): void {
    runIds.forEach(id => this._byId.delete(id));
    this.publish();
  }

  /** Take over runs that are new or changed. */
  upsert(runs: readonly RunRecord[]): void {
    for (const run of runs) {
      this._byId.set(run.id, run);
    }
    this.publish();
  }

  private async fetch(limit: number, before: string | null): Promise<void> {
    const turn = ++this._turn;
    this._fetching = true;
    try {
      const runs = await this._api.runs(limit, before);
      if (turn !== this._turn) {
        return;
      }
      if (before === null) {
        this._byId.clear();
      }
      this._hasMore = runs.length === limit;
      // Runs older than the last page are known (the WebSocket may report them), but would leave a gap in the list.
      const oldest = runs.at(-1);
      this._oldest = this._hasMore && oldest !== undefined ? toNumber(oldest.created_at) : -Infinity;
      this._state = 'ready';
      this._error = null;
      this.upsert(runs);
    } catch (error) {
      if (turn === this._turn) {
        this._state = this._byId.size > 0 ? 'ready' : 'failed';
        this._error = error as Error;
        this._changed.emit();
      }
    } finally {
      if (turn === this._turn) {
        this._fetching = false;
      }
    }
  }

  private publish(): void {
    this._list = newestFirst(this._byId.values()).filter(
      run => !run.archived && toNumber(run.created_at) >= this._oldest
    );
    this._changed.emit();
  }

  private readonly _api: Pick<Api, 'runs' | 'deleteRun'>;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _byId = new Map<string, RunRecord>();
  private _list: readonly RunRecord[] = [];
  private _state: 'loading' | 'ready' | 'failed' = 'loading';
  private _error: Error | null = null;
  private _hasMore = false;
  private _oldest = -Infinity;
  private _fetching = false;
  private _turn = 0;
}

function newestFirst(runs: Iterable<RunRecord>): RunRecord[] {
  return [...runs].sort((a, b) => toNumber(b.created_at) - toNumber(a.created_at) || (a.id < b.id ? 1 : -1));
}
