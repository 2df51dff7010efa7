/** Warnings: what the user should probably correct, such as a misspelled key of the config. */
import * as React from 'react';

import { withCode } from './state';

/** A list of warnings, perhaps with a heading; nothing if it is empty. */
export function Warnings({ lines }: { lines: readonly string[] }): JSX.Element | null {
  return lines.length === 0 ? null : (
    <div className="dj-Callout dj-Warnings" role="status">
      <ul className="dj-Callout-list dj-mod-long">
        {lines.map(line => (
          <li key={line}>{withCode(line)}</li>
        ))}
      </ul>
    </div>
  );
}
