import { formatCount, formatDuration, toNumber } from '../chart';
import type { SessionRecord } from '../protocol';

/** What the progress row says of a session, as text; parts that make no sense now are empty. */
export interface Progress {
  /** From 0 to 1, null while no training is planned. */
  fraction: number | null;
  epoch: string;
  batch: string;
  percent: string;
  eta: string;
  elapsed: string;
  speed: string;
  activity: string;
}

export function progressOf(session: SessionRecord): Progress {
  const { batches_trained: trained, plan_start_batches: start, plan_target_batches: target } = session;
  const fraction =
    start === null || target === null || target <= start
      ? null
      : Math.min(1, Math.max(0, (trained - start) / (target - start)));
  const eta = session.eta_s === null ? NaN : toNumber(session.eta_s);
  return {
    fraction,
    ...epochOf(session),
    percent: fraction === null ? '' : `${Math.floor(100 * fraction + 1e-9)}%`,
    eta: session.state === 'running' && Number.isFinite(eta) ? `${formatDuration(eta)} left` : '',
    elapsed: `${formatDuration(toNumber(session.elapsed_s))} elapsed`,
    speed: speedOf(session),
    activity: activityOf(session)
  };
}

function epochOf(session: SessionRecord): { epoch: string; batch: string } {
  const { batches_trained: trained, batches_per_epoch: perEpoch, plan_target_batches: target } = session;
  if (perEpoch === null || perEpoch <= 0) {
    return {
      epoch: '',
      batch: `batch ${formatCount(trained)}${target === null ? '' : ` / ${formatCount(target)}`}`
    };
  }
  const within = trained > 0 && trained % perEpoch === 0 ? perEpoch : trained % perEpoch;
  const epochs = target === null ? '' : ` / ${trimmed(target / perEpoch)}`;
  return {
    epoch: `epoch ${(Math.floor((10 * trained) / perEpoch) / 10).toFixed(1)}${epochs}`,
    batch: `batch ${formatCount(within)} / ${formatCount(perEpoch)}`
  };
}

function speedOf({ state, batches_per_second: batches, records_per_second: records }: SessionRecord): string {
  if (state !== 'running' || batches === null) {
    return '';
  }
  const parts = [`${rate(toNumber(batches))} batches/s`];
  if (records !== null) {
    parts.push(`${rate(toNumber(records))} records/s`);
  }
  return parts.join(' · ');
}

function activityOf({ activity, validation_done: done, validation_total: total }: SessionRecord): string {
  if (activity === 'validating') {
    const of = total === null ? '' : ` / ${formatCount(total)}`;
    return done === null ? 'validating…' : `validating, batch ${formatCount(done)}${of}`;
  }
  return activity === 'checkpointing' ? 'writing a checkpoint…' : '';
}

function rate(x: number): string {
  return x >= 100 ? formatCount(x) : String(Number(x.toPrecision(3)));
}

function trimmed(x: number): string {
  return Number.isInteger(x) ? String(x) : x.toFixed(1);
}
