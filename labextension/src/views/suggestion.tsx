/** Lines that the user may want in the notebook: to copy, to insert as a cell, or to insert and run. */
import { Clipboard } from '@jupyterlab/apputils';
import { addBelowIcon, copyIcon, runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { ActiveNotebook } from '../model/notebook';
import { Code, IconButton } from './state';

interface SuggestionProps {
  notebook: ActiveNotebook;
  children: string;
  /** The label of a button that also runs the cell; without it there is none. */
  run?: string;
}

/** How long the view says that the lines were copied. */
const COPIED_MS = 2000;

export function Suggestion({ notebook, children: source, run }: SuggestionProps): JSX.Element {
  const [isCopied, setCopied] = React.useState(false);
  React.useEffect(() => {
    const timer = isCopied ? setTimeout(() => setCopied(false), COPIED_MS) : undefined;
    return () => clearTimeout(timer);
  }, [isCopied]);
  const copy = (): void => {
    Clipboard.copyToSystem(source);
    setCopied(true);
  };
  return (
    <div className="dj-Suggestion">
      <Code>{source}</Code>
      <div className="dj-Suggestion-actions">
        {run !== undefined && (
          <IconButton
            icon={runIcon}
            label={run}
            title="Insert this as a cell below the active one, and run it"
            labelled
            className="dj-mod-run"
            disabled={notebook.path === null}
            onClick={() => void notebook.run(source)}
          />
        )}
        <IconButton
          icon={addBelowIcon}
          label="Insert"
          title="Insert this as a cell below the active one"
          labelled
          className="dj-mod-insert"
          disabled={notebook.path === null}
          onClick={() => notebook.insert(source)}
        />
        <IconButton
          icon={copyIcon}
          label={isCopied ? 'Copied' : 'Copy'}
          labelled
          className="dj-mod-copy"
          onClick={copy}
        />
      </div>
    </div>
  );
}
