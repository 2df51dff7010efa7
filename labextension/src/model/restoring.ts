/** What the Restore button of a checkpoint does: it restores it in the loaded session, or offers the lines that load its run. */
import { continueLine, lines, restoreLine } from '../../live/load';
import { formatCount, toNumber } from '../../live/format';
import { whyNoRestore } from '../../live/words';
import type { CheckpointRecord, RunRecord, SessionRecord } from '../../protocol';
import type { Api } from '../api';
import type { SessionModel } from './session';

/** `session`: the button restores the checkpoint in the session, unless it is off because of `why`. `lines`: it offers these to a cell. */
export type Offer = { how: 'session'; why: string | null } | { how: 'lines'; lines: string };

/** What would be lost, to be confirmed: the session's state after that many batches is in no checkpoint. */
export interface Loss {
  target: CheckpointRecord;
  batchesTrained: number;
}

/** What was restored, and the checkpoint with the state before that; null if there is none. */
export interface Restored {
  target: CheckpointRecord;
  back: CheckpointRecord | null;
}

/**
 * Return what the button of a checkpoint of `run` does; null if nothing can restore it.
 *
 * @param listed - The checkpoints of the run, newest first.
 */
export function offerOf(
  session: SessionModel,
  run: RunRecord,
  checkpoint: CheckpointRecord,
  listed: readonly CheckpointRecord[]
): Offer | null {
  if (run.recipe === null) {
    return null; // the run of a script, which has its own way of loading
  }
  const { current } = session;
  if (current !== null && current.steerable && isSameDefinition(current.session, run)) {
    return { how: 'session', why: session.can('restore') ? null : whyOff(session, current.session) };
  }
  const isLatest = checkpoint.id === listed[0]?.id;
  const magics = isLatest ? [continueLine(run.id)] : [continueLine(run.id), restoreLine(checkpoint.id)];
  return { how: 'lines', lines: lines(session.loaded, ...magics) };
}

/** Whether the checkpoint is being restored at this moment. */
export function isRestoring(session: SessionModel, checkpoint: CheckpointRecord): boolean {
  return session.underWay.some(sent => sent.kind === 'restore' && sent.checkpoint === checkpoint.id);
}

/** Return why one of these checkpoints was not restored; null if none was refused. */
export function refusalOf(session: SessionModel, listed: readonly CheckpointRecord[]): Error | null {
  const command = session.refusal?.command;
  const isHere = command?.kind === 'restore' && listed.some(one => one.id === command.checkpoint);
  return isHere ? (session.refusal?.error ?? null) : null;
}

/**
 * Restore a checkpoint in the current session.
 *
 * @param listed - The checkpoints of the run of `target`.
 * @param confirm - Asks the user whether a state that no checkpoint holds can be lost.
 * @returns What was restored; null if the user or the kernel refused.
 */
export async function restore(
  session: SessionModel,
  api: Pick<Api, 'checkpoints'>,
  target: CheckpointRecord,
  listed: readonly CheckpointRecord[],
  confirm: (loss: Loss) => Promise<boolean>
): Promise<Restored | null> {
  const now = session.current?.session;
  if (now === undefined || !session.can('restore')) {
    return null;
  }
  const back = await checkpointOf(now, api, listed);
  const { batches_trained: batchesTrained, elapsed_s } = now;
  if (back === null && toNumber(elapsed_s) > 0 && !(await confirm({ target, batchesTrained }))) {
    return null;
  }
  const isDone = await session.send({ kind: 'restore', checkpoint: target.id });
  return isDone ? { target, back: back?.id === target.id ? null : back } : null;
}

/** Return what to say after a checkpoint was restored, and how to return; code is between backticks. */
export function restoredText({ target, back }: Restored): string {
  const done = `Restored batch ${formatCount(target.batches_trained)}.`;
  return back === null
    ? done
    : `${done} To return to batch ${formatCount(back.batches_trained)}, restore \`${back.id}\`.`;
}

/** Return the newest checkpoint with the session's present state: of its own run, or of the run from which it was restored. */
async function checkpointOf(
  { run_id, batches_trained }: SessionRecord,
  api: Pick<Api, 'checkpoints'>,
  listed: readonly CheckpointRecord[]
): Promise<CheckpointRecord | null> {
  // if they cannot be read, there is none to rely on
  const own = run_id === null ? [] : await api.checkpoints(run_id).catch(() => []);
  return [...own, ...listed].find(one => one.batches_trained === batches_trained) ?? null;
}

/** The kernel restores the checkpoints of these runs only. */
function isSameDefinition(session: SessionRecord, run: RunRecord): boolean {
  return session.entrypoint === run.entrypoint && session.definition_root === run.definition_root;
}

function whyOff({ underWay }: SessionModel, session: SessionRecord): string {
  const isBusy = underWay.some(sent => sent.kind === 'restore');
  return isBusy ? 'A checkpoint is being restored' : whyNoRestore(session);
}
