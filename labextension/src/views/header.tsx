/** The panel's header: the notebook that it shows, and whether the server answers. */
import { notebookIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { PanelModel } from '../model/panel';
import { IconButton } from './state';

export function HeaderView({ model }: { model: PanelModel }): JSX.Element {
  const { path } = model.notebook;
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
      {model.isCut && (
        <div className="dj-Cut" role="status">
          <span>The connection to the server is lost. Reconnecting…</span>
          <button type="button" className="dj-TextButton" onClick={() => model.refresh()}>
            Try now
          </button>
        </div>
      )}
    </>
  );
}
