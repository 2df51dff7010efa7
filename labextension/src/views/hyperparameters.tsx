/** Hyperparameters as a table: name, value, and where the value came from. */
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { HyperparameterChange } from '../../protocol';

interface Row {
  name: string;
  value: unknown;
  origin?: string;
}

export function Hyperparameters({
  rows,
  changes
}: {
  rows: readonly Row[];
  /** What reloads have changed. */
  changes: readonly HyperparameterChange[];
}): JSX.Element | null {
  if (rows.length === 0) {
    return null;
  }
  return (
    <table className="dj-Hyperparameters">
      <caption className="dj-visually-hidden">Hyperparameters</caption>
      <tbody>
        {rows.map(({ name, value, origin }) => {
          const text = history(
            value,
            changes.filter(change => change.name === name)
          );
          return (
            <tr key={name}>
              <th scope="row" title={name}>
                {name}
              </th>
              <td className="dj-Hyperparameters-value" title={text}>
                {text}
              </td>
              {origin !== undefined && (
                <td className="dj-Hyperparameters-origin" title={origin}>
                  {origin}
                </td>
              )}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Return a value, after the values that reloads have replaced: `0.003 → 0.0001 at 106`. */
function history(value: unknown, changes: readonly HyperparameterChange[]): string {
  const [first] = changes;
  if (first === undefined) {
    return format(value);
  }
  const later = changes.map(
    ({ now, batches_trained }) => ` → ${format(now)} at ${formatCount(batches_trained)}`
  );
  return format(first.before) + later.join('');
}

function format(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Return nested hyperparameters as rows with dotted names, in the order they were written. */
export function flatten(values: { readonly [key: string]: unknown }, prefix = ''): Row[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const name = prefix + key;
    const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isNested ? flatten(value as { [key: string]: unknown }, `${name}.`) : [{ name, value }];
  });
}
