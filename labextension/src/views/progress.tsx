/** How far the training, or the validation under way, has come: the same bar and line as in the live view. */
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { barOf, factsOf } from '../../live/progress';
import type { SessionRecord, State } from '../../protocol';

export function Progress({ session, state }: { session: SessionRecord; state: State }): JSX.Element | null {
  const bar = barOf(session);
  const facts = factsOf(session, state);
  if (bar === null && facts.length === 0) {
    return null;
  }
  return (
    <div className="dj-Progress">
      {bar !== null && (
        <div
          className={classes('dj-Bar', 'dj-mod-progress', `dj-mod-${state}`)}
          role="progressbar"
          aria-label={bar.label}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(bar.fraction * 100)}
          aria-valuetext={facts.map(({ text }) => text).join(', ')}
        >
          <span style={{ width: `${bar.fraction * 100}%` }} />
        </div>
      )}
      <div className="dj-Progress-facts">
        {facts.map(({ name, text }) => (
          <span key={name} className="dj-Progress-fact" data-dj-fact={name}>
            {text}
          </span>
        ))}
      </div>
    </div>
  );
}
