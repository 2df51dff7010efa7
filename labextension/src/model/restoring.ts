/** What the Restore button of a checkpoint does: it restores it in the loaded session, or offers the lines that load its run. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { formatCount, toNumber } from '../../live/format';
import { continueLine, lines, restoreLine } from '../../live/load';
import { whyNoRestore } from '../../live/words';
import type { CheckpointRecord, RunRecord, SessionRecord } from '../../protocol';
import type { Api } from '../api';
import type { SessionModel } from './session';

/** `session`: the button restores the checkpoint in the session, unless it is off because of `why`. `lines`: it offers these to a cell. */
export type Offer = { how: 'session'; why: string | null } | { how: 'lines'; lines: string };

/** What would be lost: the session's state after that many batches is in no checkpoint. */
export interface Loss {
  target: CheckpointRecord;
  batchesTrained: number;
}

/** What was restored in which session, and the checkpoint with the state before that; null if there is none. */
export interface Restored {
  session: string;
  target: CheckpointRecord;
  back: CheckpointRecord | null;
}

export class RestoreModel {
  constructor(session: SessionModel, api: Pick<Api, 'checkpoints'>) {
    this._session = session;
    this._api = api;
    session.changed.connect(this.onSession, this);
  }

  /** Also when the session has changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The last restore; null when the session trains again or is another one. */
  get restored(): Restored | null {
    return this._restored;
  }

  /** The checkpoint that is being restored at this moment. */
  get pending(): string | null {
    const sent = this._session.underWay.find(({ kind }) => kind === 'restore');
    return sent?.kind === 'restore' ? sent.checkpoint : null;
  }

  /** Which checkpoint was not restored, and why; null if the last command was another one, or was done. */
  get refusal(): { checkpoint: string; error: Error } | null {
    const { refusal } = this._session;
    return refusal?.command.kind === 'restore'
      ? { checkpoint: refusal.command.checkpoint, error: refusal.error }
      : null;
  }

  /**
   * Return what the button of a checkpoint of `run` does; null if nothing can restore it.
   *
   * @param listed - The checkpoints of the run, newest first.
   */
  offer(run: RunRecord, checkpoint: CheckpointRecord, listed: readonly CheckpointRecord[]): Offer | null {
    if (run.recipe === null) {
      return null; // the run of a script, which loads its checkpoints itself
    }
    const { current, loaded } = this._session;
    if (current !== null && current.steerable && isSameDefinition(current.session, run)) {
      return { how: 'session', why: this.whyOff(current.session) };
    }
    const isLatest = checkpoint.id === listed[0]?.id;
    const magics = isLatest ? [continueLine(run.id)] : [continueLine(run.id), restoreLine(checkpoint.id)];
    return { how: 'lines', lines: lines(loaded, ...magics) };
  }

  /**
   * Restore a checkpoint in the current session.
   *
   * @param confirm - Asks the user whether a state that no checkpoint holds can be lost.
   */
  async restore(target: CheckpointRecord, confirm: (loss: Loss) => Promise<boolean>): Promise<void> {
    const now = this._session.current?.session;
    if (now === undefined || !this._session.can('restore')) {
      return;
    }
    const back = await this.checkpointOf(now);
    const { session_id, batches_trained: batchesTrained, elapsed_s } = now;
    if (back === null && toNumber(elapsed_s) > 0 && !(await confirm({ target, batchesTrained }))) {
      return;
    }
    if (await this._session.send({ kind: 'restore', checkpoint: target.id })) {
      this._restored = { session: session_id, target, back: back?.id === target.id ? null : back };
      this._changed.emit();
    }
  }

  dispose(): void {
    this._session.changed.disconnect(this.onSession, this);
    Signal.clearData(this);
  }

  /** Return the checkpoint with the session's present state, unless it was deleted since. */
  private async checkpointOf({ saved }: SessionRecord): Promise<CheckpointRecord | null> {
    if (saved === null) {
      return null;
    }
    // if they cannot be read, there is none to rely on
    const listed = await this._api.checkpoints(saved.run_id).catch(() => []);
    return listed.find(({ id }) => id === saved.checkpoint) ?? null;
  }

  private whyOff(session: SessionRecord): string | null {
    if (this._session.can('restore')) {
      return null;
    }
    return this.pending === null ? whyNoRestore(session) : 'A checkpoint is being restored';
  }

  private onSession(): void {
    const { current } = this._session;
    if (!this._session.can('restore') || current?.session.session_id !== this._restored?.session) {
      this._restored = null;
    }
    this._changed.emit();
  }

  private readonly _session: SessionModel;
  private readonly _api: Pick<Api, 'checkpoints'>;
  private readonly _changed = new Signal<this, void>(this);
  private _restored: Restored | null = null;
}

/** Return what to say after a checkpoint was restored, and how to return; code is between backticks. */
export function restoredText({ target, back }: Restored): string {
  const done = `Restored batch ${formatCount(target.batches_trained)}.`;
  return back === null
    ? done
    : `${done} To return to batch ${formatCount(back.batches_trained)}, restore \`${back.id}\`.`;
}

/** The kernel restores the checkpoints of these runs only. */
function isSameDefinition(session: SessionRecord, run: RunRecord): boolean {
  return session.entrypoint === run.entrypoint && session.definition_root === run.definition_root;
}
