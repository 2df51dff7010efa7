/** Hyperparameters as a table: name, value, and where the value came from. */
import * as React from 'react';

interface Row {
  name: string;
  value: unknown;
  origin?: string;
}

export function Hyperparameters({ rows }: { rows: readonly Row[] }): JSX.Element | null {
  if (rows.length === 0) {
    return null;
  }
  return (
    <table className="dj-Hyperparameters">
      <caption className="dj-visually-hidden">Hyperparameters</caption>
      <tbody>
        {rows.map(({ name, value, origin }) => {
          const text = typeof value === 'string' ? value : JSON.stringify(value);
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

/** Return nested hyperparameters as rows with dotted names, in the order they were written. */
export function flatten(values: { readonly [key: string]: unknown }, prefix = ''): Row[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const name = prefix + key;
    const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isNested ? flatten(value as { [key: string]: unknown }, `${name}.`) : [{ name, value }];
  });
}
