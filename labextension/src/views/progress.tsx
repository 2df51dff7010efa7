/** How far the training, or the validation under way, has come. */
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount, formatDuration, toNumber } from '../../chart';
import type { SessionRecord, State } from '../../protocol';

export function Progress({ session, state }: { session: SessionRecord; state: State }): JSX.Element | null {
  const { batches_trained, batches_per_epoch, batches_per_second, eta_s } = session;
  const bar = barOf(session);
  if (bar === null && batches_trained === 0) {
    return null;
  }
  const isLive = state === 'running' || state === 'paused';
  const epochs = batches_per_epoch ? (batches_trained / batches_per_epoch).toFixed(1) : null;
  const pace = batches_per_second === null ? null : toNumber(batches_per_second);
  return (
    <div className="dj-Progress">
      {bar !== null && (isLive || bar.label === 'Validation') && (
        <div
          className={classes('dj-Bar', 'dj-mod-progress', `dj-mod-${state}`)}
          role="progressbar"
          aria-label={bar.label}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(bar.share * 100)}
        >
          <span style={{ width: `${bar.share * 100}%` }} />
        </div>
      )}
      <div className="dj-Line">
        <span>
          {bar?.text ?? `${formatCount(batches_trained)} batches`}
          {epochs !== null && <span className="dj-faint"> · epoch {epochs}</span>}
        </span>
        {state === 'running' && pace !== null && (
          <span className="dj-faint">{pace >= 10 ? formatCount(pace) : pace.toFixed(1)} batches/s</span>
        )}
        {state === 'running' && eta_s !== null && (
          <span title="Time that is left">{formatDuration(Math.ceil(toNumber(eta_s)))} left</span>
        )}
      </div>
    </div>
  );
}

interface Bar {
  share: number;
  label: string;
  text: string;
}

/** The plan's bar; a validation that somebody asked for beside any plan has one of its own. */
function barOf(session: SessionRecord): Bar | null {
  const { validation_done, validation_total, plan_start_batches, plan_target_batches, batches_trained } =
    session;
  if (plan_target_batches !== null) {
    const start = plan_start_batches ?? 0;
    return {
      share: clamp((batches_trained - start) / Math.max(1, plan_target_batches - start)),
      label: 'Training',
      text: `${formatCount(batches_trained)} of ${formatCount(plan_target_batches)} batches`
    };
  }
  if (session.activity === 'validating' && validation_total) {
    return {
      share: clamp((validation_done ?? 0) / validation_total),
      label: 'Validation',
      text: `${formatCount(batches_trained)} batches`
    };
  }
  return null;
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
