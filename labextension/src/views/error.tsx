/** The error of the user's own code: what was raised, what to do, and the user's frames on demand. */
import * as React from 'react';

import type { ErrorRecord } from '../../protocol';
import { withCode } from './state';

export function TrialError({ error }: { error: ErrorRecord }): JSX.Element {
  const { name, message, traceback, hint } = error;
  return (
    <div className="dj-Block dj-Error" role="alert">
      <div className="dj-Error-message">
        <b>{name}</b>: {message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message}
      </div>
      {hint !== null && <div className="dj-Message-hint">{withCode(hint)}</div>}
      {traceback !== '' && (
        <details>
          <summary>Traceback</summary>
          <pre className="dj-Traceback">{traceback}</pre>
        </details>
      )}
    </div>
  );
}
