/** What both live views say about a session. */
import type { GpuRecord, SessionRecord, State } from '../protocol';
import { formatBytes, formatCount, toNumber } from './format';

export const STATE_WORDS: Readonly<Record<State, string>> = {
  ready: 'Ready',
  running: 'Running',
  paused: 'Paused',
  finished: 'Finished',
  stopped: 'Stopped',
  failed: 'Failed',
  interrupted: 'Interrupted'
};

export const SLOWED = {
  label: 'Slowed by a busy cell',
  title:
    'A cell computes in pure Python and shares the interpreter with the training. The training is faster again when the cell ends.'
} as const;

export const STUCK = {
  label: 'No batch has ended for a while',
  where: 'What the training is doing'
} as const;

export const INTERRUPTED =
  'The training was interrupted. The run is kept, with its checkpoints if it has any. Weights that no checkpoint holds are lost.';

/** Return a heading with the number of warnings, then the warnings; nothing if there are none. */
export function warningLines({ warnings, more_warnings: more }: SessionRecord): string[] {
  const count = warnings.length + more;
  if (count === 0) {
    return [];
  }
  const rest = more > 0 ? [`and ${more} more in the log`] : [];
  return [count === 1 ? '1 warning' : `${count} warnings`, ...warnings, ...rest];
}

/** Whether a training is under way: it trains, or it is paused. */
export function isLive(state: State): boolean {
  return state === 'running' || state === 'paused';
}

/** Whether to say that a busy cell slows the training: not of one that has ended, or in which no batch ends at all. */
export function isSlowed({ state, slowed, stuck }: SessionRecord): boolean {
  return slowed && state === 'running' && stuck === null;
}

/** Return what the session does besides training: `validating, batch 3 of 10`; '' if nothing. */
export function activityText({
  activity,
  validation_done: done,
  validation_total: total
}: SessionRecord): string {
  if (activity === 'validating') {
    const of = total === null ? '' : ` of ${formatCount(total)}`;
    return done === null ? 'validating' : `validating, batch ${formatCount(done)}${of}`;
  }
  return activity === 'checkpointing' ? 'saving a checkpoint' : '';
}

/** Return how much of the GPU's memory is in use: `1.2 GB of 85.0 GB`. */
export function gpuMemory({ memory_used_bytes, memory_total_bytes }: GpuRecord): string {
  return `${formatBytes(memory_used_bytes)} of ${formatBytes(memory_total_bytes)}`;
}

/** Return the share of the time that the GPU computes: `34%`; null if the driver does not say. */
export function gpuBusy({ utilization }: GpuRecord): string | null {
  return utilization === null ? null : `${Math.round(toNumber(utilization))}%`;
}

/** Return why no checkpoint can be restored now, in a session that does not allow it. */
export function whyNoRestore({ state, activity }: SessionRecord): string {
  if (isLive(state)) {
    return 'Stop the training before you restore a checkpoint';
  }
  return activity === 'validating' ? 'Possible when the validation has ended' : 'The session is closed';
}
