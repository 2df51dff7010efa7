/** The panel's header: the notebook that it shows, and whether the server answers and can read the history. */
import { notebookIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../model/panel';
import { IconButton, Message } from './state';

export function HeaderView({ model }: { model: PanelModel }): JSX.Element {
  const { path } = model.notebook;
  const { historyFailure, isCut } = model;
  return (
    <>
      <div className="dj-Header">
        <notebookIcon.react tag="span" className="dj-Header-icon" />
        <span className="dj-Header-name" title={path ?? undefined}>
          {path === null ? 'No notebook' : path.slice(path.lastIndexOf('/') + 1)}
        </span>
        <IconButton
          icon={refreshIcon}
          label="Refresh"
          className="dj-mod-refresh"
          onClick={() => model.refresh()}
        />
      </div>
      {(isCut || historyFailure !== null) && (
        <div className="dj-Cut" role="status">
          {isCut || historyFailure === null ? (
            <span>The connection to the server is lost. Reconnecting…</span>
          ) : (
            <Message error={historyFailure} />
          )}
          <button type="button" className="dj-TextButton" onClick={() => model.refresh()}>
            Try now
          </button>
        </div>
      )}
    </>
  );
}
