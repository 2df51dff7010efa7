/**
 * How far a training has come, as the line that both live views print.
 *
 * Everything in the line refers to the training under way (after its end, to the training that ended last): percent, epoch, batches,
 * elapsed time and time left. A session can train several times with the same weights, so its totals differ from the second training on.
 * The totals then get a line of their own: a percentage of one thing next to the epoch of another would mislead.
 */
import type { SessionRecord, State } from '../protocol';
import { formatCount, formatRate, formatSeconds, toNumber } from './format';
import { activityText } from './words';

/** The bar above the line. */
export interface Bar {
  label: string;
  /** From 0 to 1. */
  fraction: number;
}

/** One piece of the line. `name` is for styles and tests. */
export interface Fact {
  name: 'percent' | 'epoch' | 'batches' | 'elapsed' | 'left' | 'speed' | 'records' | 'activity' | 'total';
  text: string;
}

/** A part of the session's life: a training, or all of it. `length` is null where no end is known. */
interface Span {
  done: number;
  length: number | null;
  elapsedS: number;
}

/** Return the bar: of the training, else of a validation that runs outside of one. Null if neither has a known end. */
export function barOf(session: SessionRecord): Bar | null {
  const training = trainingOf(session);
  if (training !== null) {
    return { label: 'Training', fraction: fractionOf(training) };
  }
  const { activity, validation_done: done, validation_total: total } = session;
  return activity === 'validating' && total
    ? { label: 'Validation', fraction: clamp((done ?? 0) / total) }
    : null;
}

/**
 * Return the pieces of the line, in order; what is not known is omitted.
 *
 * `state` is the session's, or that of its run where the run knows better: a kernel that died could not say that it was interrupted.
 */
export function factsOf(session: SessionRecord, state: State = session.state): Fact[] {
  const training = trainingOf(session);
  const whole = sessionOf(session);
  const span = training ?? whole;
  const isTrained = training !== null || whole.done > 0;
  const activity = activityText(session);
  // Speed and time left are of the batches that have ended: of a batch that does not end they say nothing.
  const isMoving = state === 'running' && session.stuck === null;
  const isTraining = isMoving && activity === '';
  const { batches_per_epoch, batches_per_second, records_per_second, eta_s } = session;
  const texts: Record<Fact['name'], string | null> = {
    percent: training && `${Math.floor(100 * fractionOf(training) + 1e-9)}%`,
    epoch: isTrained ? epochText(span, batches_per_epoch) : null,
    batches: isTrained ? batchesText(span) : null,
    elapsed: isTrained ? `${formatSeconds(Math.floor(span.elapsedS))} elapsed` : null,
    left: isMoving && eta_s !== null ? `${formatSeconds(Math.ceil(toNumber(eta_s)))} left` : null,
    speed:
      isTraining && batches_per_second !== null
        ? `${formatRate(toNumber(batches_per_second))} batches/s`
        : null,
    records:
      isTraining && records_per_second !== null
        ? `${formatRate(toNumber(records_per_second))} records/s`
        : null,
    activity,
    total: training !== null && whole.done > training.done ? totalText(whole, batches_per_epoch) : null
  };
  return Object.entries(texts).flatMap(([name, text]) =>
    text ? [{ name: name as Fact['name'], text }] : []
  );
}

function trainingOf(session: SessionRecord): Span | null {
  const { plan_start_batches: start, plan_target_batches: target, plan_elapsed_s, batches_trained } = session;
  if (start === null || target === null || target <= start) {
    return null;
  }
  return {
    done: Math.max(0, batches_trained - start),
    length: target - start,
    elapsedS: toNumber(plan_elapsed_s)
  };
}

function sessionOf({ batches_trained, elapsed_s }: SessionRecord): Span {
  return { done: batches_trained, length: null, elapsedS: toNumber(elapsed_s) };
}

function fractionOf({ done, length }: Span): number {
  return length === null ? 0 : clamp(done / length);
}

function epochText({ done, length }: Span, perEpoch: number | null): string | null {
  // Of a training that is shorter than an epoch the batches say all.
  if (perEpoch === null || perEpoch <= 0 || (length !== null && length < perEpoch)) {
    return null;
  }
  // Rounded down: 1,799 of 1,800 batches are not epoch 20.0 yet.
  const epochs = formatCount(Math.floor((10 * done) / perEpoch) / 10, 1);
  return `epoch ${epochs}${length === null ? '' : ` of ${formatCount(length / perEpoch, 1).replace(/\.0$/, '')}`}`;
}

function batchesText({ done, length }: Span): string {
  return length === null
    ? plural(done, 'batch', 'batches')
    : `${formatCount(done)} of ${plural(length, 'batch', 'batches')}`;
}

function totalText(whole: Span, perEpoch: number | null): string {
  const parts = [epochText(whole, perEpoch), batchesText(whole), formatSeconds(Math.floor(whole.elapsedS))];
  // In a sidebar it is wider than a line: it breaks between its parts only.
  return `session total: ${parts.flatMap(part => part?.replaceAll(' ', '\u00a0') ?? []).join(' · ')}`;
}

function plural(n: number, one: string, many: string): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
