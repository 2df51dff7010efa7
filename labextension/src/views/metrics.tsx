/** The newest value of every metric: one row per metric, one column per group. */
import * as React from 'react';

import { formatCount, formatValue, toNumber } from '../../live/format';
import type { BestRecord, Group, Scalar, SessionRecord } from '../../protocol';
import { PanelNames } from '../../chart/names';
import { Middle } from './state';

const GROUPS: readonly Group[] = ['training', 'validation'];

/** So many last characters of a name stay in front of the batch. */
const NAME_END = 6;

interface Row {
  name: string;
  values: Partial<Record<Group, Scalar>>;
}

export function Latest({ session }: { session: SessionRecord }): JSX.Element | null {
  const rows = rowsOf(session);
  if (rows.length === 0) {
    return null;
  }
  const { best } = session;
  return (
    <div className="dj-Block">
      <table className="dj-Latest">
        <thead>
          <tr>
            <th scope="col">Latest</th>
            <th scope="col">Training</th>
            <th scope="col">Validation</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, values }) => (
            <tr key={name}>
              <th scope="row" title={name}>
                <Middle text={name} />
              </th>
              {GROUPS.map(group => (
                <Value key={group} value={values[group]} />
              ))}
            </tr>
          ))}
        </tbody>
        {best !== null && (
          <tfoot>
            <tr>
              <th
                scope="row"
                colSpan={2}
                title={`Best ${best.name}: ${best.smaller_is_better ? 'smaller' : 'larger'} is better; reached at batch ${formatCount(best.batches_trained)}`}
              >
                <Best best={best} />
              </th>
              <td>{formatValue(toNumber(best.value))}</td>
            </tr>
          </tfoot>
        )}
      </table>
    </div>
  );
}

/** Where the name is cut, its end and the batch stay. */
function Best({ best: { name, batches_trained } }: { best: BestRecord }): JSX.Element {
  const at = ` at ${formatCount(batches_trained)}`;
  return <Middle text={`Best ${name}${at}`} end={at.length + NAME_END} />;
}

function Value({ value }: { value: Scalar | undefined }): JSX.Element {
  if (value === undefined) {
    return <td className="dj-faint">–</td>;
  }
  const number = toNumber(value);
  return <td className={Number.isFinite(number) ? undefined : 'dj-mod-alarm'}>{formatValue(number)}</td>;
}

/** Metrics of the same name, `validation_` put aside, share a row: the chart's own rule for its panels. */
function rowsOf({ latest }: SessionRecord): Row[] {
  const names = new PanelNames();
  const rows = new Map<string, Row>();
  for (const group of GROUPS) {
    for (const [metric, value] of Object.entries(latest[group] ?? {})) {
      const name = names.panelOf(group, metric);
      const row = rows.get(name) ?? { name, values: {} };
      row.values[group] = value;
      rows.set(name, row);
    }
  }
  return [...rows.values()];
}
