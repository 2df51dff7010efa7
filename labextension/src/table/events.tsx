/** What happened in runs, next to each other: a row for each batch after which something did. */
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { ComparedEvents } from '../../protocol';
import { Middle } from '../views/state';
import { rowsOf } from './event_rows';

/** The kinds of events, in the order of their buttons. */
const KINDS: readonly { kinds: readonly string[]; label: string }[] = [
  { kinds: ['validation'], label: 'Validations' },
  { kinds: ['checkpoint'], label: 'Checkpoints' },
  { kinds: ['best'], label: 'Best values' },
  { kinds: ['hyperparameters'], label: 'Hyperparameters' },
  { kinds: ['reload'], label: 'Reloads' },
  { kinds: ['restore'], label: 'Restores' },
  { kinds: ['pause', 'resume'], label: 'Pauses' },
  { kinds: ['end', 'error'], label: 'Ends' }
];
/** More rows are slow to draw, and the user sees more of less. */
const MOST_ROWS = 400;

interface EventsProps {
  events: readonly ComparedEvents[];
  /** The names of the runs, and what shows with which line each is drawn. */
  heads: readonly { name: string; swatch: JSX.Element }[];
}

export function Events({ events, heads }: EventsProps): JSX.Element | null {
  const [hidden, setHidden] = React.useState<readonly string[]>([]);
  const there = new Set(events.flatMap(({ marks }) => marks.map(({ kind }) => kind)));
  const rows = React.useMemo(() => rowsOf(events, hidden), [events, hidden]);
  if (there.size === 0) {
    return null;
  }
  const more = events.reduce((sum, one) => sum + one.more, 0);
  return (
    <details className="dj-Details dj-Comparison-part" open>
      <summary>Events, by batch</summary>
      <div className="dj-Events-kinds" role="group" aria-label="Kinds of events">
        {KINDS.filter(({ kinds }) => kinds.some(kind => there.has(kind))).map(({ kinds, label }) => (
          <label key={label}>
            <input
              type="checkbox"
              checked={!hidden.includes(kinds[0]!)}
              onChange={event =>
                setHidden(
                  event.target.checked ? hidden.filter(kind => !kinds.includes(kind)) : [...hidden, ...kinds]
                )
              }
            />
            {label}
          </label>
        ))}
      </div>
      <div className="dj-Comparison-scroll" tabIndex={0} role="region" aria-label="Events of the runs">
        <table className="dj-Compared dj-Events">
          <thead>
            <tr>
              <th scope="col">Batch</th>
              {heads.map(({ name, swatch }, index) => (
                <th key={index} scope="col" title={name}>
                  {swatch}
                  <Middle text={name} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(-MOST_ROWS).map(({ batch, cells }) => (
              <tr key={batch}>
                <th scope="row">{formatCount(batch)}</th>
                {cells.map((marks, index) => (
                  <td key={index} title={marks.map(({ text }) => text).join('\n') || undefined}>
                    {marks.map((mark, at) => (
                      <span key={at} className="dj-Event" data-kind={mark.kind}>
                        {mark.text}
                      </span>
                    ))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length === 0 && <p className="dj-faint">No event is of the chosen kinds.</p>}
      {rows.length > MOST_ROWS && (
        <p className="dj-faint">{formatCount(rows.length - MOST_ROWS)} earlier batches are not shown.</p>
      )}
      {more > 0 && <p className="dj-faint">{formatCount(more)} more events are not shown.</p>}
    </details>
  );
}
