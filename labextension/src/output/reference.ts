/** The reference to a run in the data of an output. A notebook can come from anywhere, so nothing in it is taken on trust. */
import { STATE_WORDS } from '../../live/words';
import type { EndedTraining, ErrorRecord, RunReference, State } from '../../protocol';
import { REFERENCE_VERSION, RUN_MIME_TYPE } from '../../protocol';

/** As the server has it: with dots, an id could lead to another route. */
const RUN_ID = /^[A-Za-z0-9_-]{1,80}$/;
const NON_FINITE: readonly unknown[] = ['NaN', 'Infinity', '-Infinity'];

/** Return the reference in an output's data, null if a newer version of detjupyter or something else wrote it. */
export function referenceIn(data: { readonly [mimeType: string]: unknown }): RunReference | null {
  const found = asObject<RunReference>(data[RUN_MIME_TYPE]);
  const { version, run_id, ended = null } = found ?? {};
  if (version !== REFERENCE_VERSION || typeof run_id !== 'string' || !RUN_ID.test(run_id)) {
    return null;
  }
  if (ended === null) {
    return { version, run_id, ended };
  }
  const end = endIn(ended);
  return end === null ? null : { version, run_id, ended: end };
}

/** Return the end of a training, without what else is there: it replaces fields of a session. */
function endIn(data: unknown): EndedTraining | null {
  const found = asObject<EndedTraining>(data);
  if (found === null) {
    return null;
  }
  const { trainings, state, batches_trained, records_trained, error = null } = found;
  const { plan_start_batches = null, plan_target_batches = null, plan_elapsed_s, elapsed_s } = found;
  const isEnd =
    [trainings, batches_trained, records_trained].every(isCount) &&
    [plan_start_batches, plan_target_batches].every(count => count === null || isCount(count)) &&
    [plan_elapsed_s, elapsed_s].every(isScalar) &&
    isState(state) &&
    (error === null || isError(error));
  return isEnd
    ? ({
        trainings,
        state,
        batches_trained,
        records_trained,
        plan_start_batches,
        plan_target_batches,
        plan_elapsed_s,
        elapsed_s,
        error
      } as EndedTraining)
    : null;
}

function asObject<T>(data: unknown): Partial<T> | null {
  return typeof data === 'object' ? data : null;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isScalar(value: unknown): boolean {
  return typeof value === 'number' || NON_FINITE.includes(value);
}

function isState(value: unknown): value is State {
  return typeof value === 'string' && Object.hasOwn(STATE_WORDS, value);
}

function isError(data: unknown): data is ErrorRecord {
  const { message, traceback, hint } = asObject<ErrorRecord>(data) ?? {};
  return (
    typeof message === 'string' &&
    typeof traceback === 'string' &&
    (hint === null || typeof hint === 'string')
  );
}
