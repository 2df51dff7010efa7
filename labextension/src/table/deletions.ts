/** Deletions that the user can undo: the runs are deleted some seconds later. */

import { UNDO_S } from '../../protocol';

export const UNDO_MS = 1000 * UNDO_S;

export interface Deletion {
  runIds: readonly string[];
  sizeBytes: number;
}

/**
 * Deletes runs `UNDO_MS` after the user asked for it.
 *
 * A page that is closed before that deletes nothing.
 */
export class Deletions {
  constructor(
    private readonly remove: (runIds: readonly string[]) => Promise<void>,
    private readonly changed: () => void,
    private readonly failed: (error: Error) => void
  ) {}

  /** What will be deleted and can still be undone, the newest last. */
  get pending(): readonly Deletion[] {
    return [...this._timers.keys()];
  }

  /** Whether a run will be deleted, or is being deleted. */
  has(runId: string): boolean {
    return [...this._timers.keys(), ...this._underWay].some(({ runIds }) => runIds.includes(runId));
  }

  add(deletion: Deletion): void {
    const timer = window.setTimeout(() => void this.finish(deletion), UNDO_MS);
    this._timers.set(deletion, timer);
    this.changed();
  }

  undo(deletion: Deletion): void {
    window.clearTimeout(this._timers.get(deletion));
    this._timers.delete(deletion);
    this.changed();
  }

  private async finish(deletion: Deletion): Promise<void> {
    this._timers.delete(deletion);
    this._underWay.add(deletion);
    this.changed();
    try {
      await this.remove(deletion.runIds);
    } catch (error) {
      this.failed(error as Error);
    } finally {
      this._underWay.delete(deletion);
      this.changed();
    }
  }

  private readonly _timers = new Map<Deletion, number>();
  private readonly _underWay = new Set<Deletion>();
}
