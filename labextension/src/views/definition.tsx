/** Section "Definition": what is loaded, and which files ship. */
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { PanelModel } from '../model/panel';
import type { DefinitionModel } from '../model/definition';
import { Card } from './card';
import { Listing } from './listing';
import { Empty, Failure, Loading, Message } from './state';

const STOPPED = new Error('The scan was stopped.');

export function DefinitionView({ model }: { model: PanelModel }): JSX.Element {
  const { definition, notebook, session } = model;
  if (notebook.path === null) {
    return (
      <Empty title="No notebook is open">
        <p>
          Open a notebook in a model definition: a directory of Python files, one of them with a Trial class.
        </p>
      </Empty>
    );
  }
  const { card } = session;
  const isListed = definition.path !== null && definition.path === session.definitionPath;
  return (
    <div>
      {card !== null && <Card model={model} card={card} isListed={isListed} />}
      <ScanStatusView definition={definition} />
      {definition.watchFailure !== null && (
        <div className="dj-Callout dj-Unwatched" role="status">
          <Message error={definition.watchFailure} />
        </div>
      )}
      {definition.path === null ? (
        <p className="dj-Note">
          The loaded definition is outside of the directory that this Jupyter server serves, so its files are
          not listed here. <code>%det_files</code> lists them.
        </p>
      ) : definition.record !== null ? (
        // the key: another definition begins with no search, no filter and the default folders open
        <Listing key={definition.path} model={model} record={definition.record} isLoaded={card !== null} />
      ) : definition.status.kind === 'idle' ? (
        <Loading />
      ) : null}
    </div>
  );
}

/** What the scan reports, and what the user can do about it. */
function ScanStatusView({ definition }: { definition: DefinitionModel }): JSX.Element | null {
  const { status } = definition;
  switch (status.kind) {
    case 'idle':
      return null;
    case 'slow':
      return <Scanning found={status.found} onStop={() => definition.stop()} />;
    case 'stopped':
      return <Failure error={STOPPED} onRetry={() => void definition.refresh()} />;
    case 'too-large':
      return (
        <div className="dj-Callout dj-TooLarge" role="alert">
          <Message error={status.error} />
          <button type="button" className="dj-TextButton" onClick={() => definition.scanAnyway()}>
            Scan anyway
          </button>
        </div>
      );
    case 'failed':
      return <Failure error={status.error} onRetry={() => void definition.refresh()} />;
  }
}

/** A scan that takes long: its progress, and a button that stops it. */
function Scanning({ found, onStop }: { found: number; onStop: () => void }): JSX.Element {
  return (
    <div className="dj-Callout dj-Scanning" role="status">
      <div className="dj-Callout-head">
        <span className="dj-Callout-title">
          {found === 0 ? 'Reading the directory…' : `Reading the directory… ${formatCount(found)} entries`}
        </span>
        <button type="button" className="dj-TextButton dj-mod-small" onClick={onStop}>
          Stop
        </button>
      </div>
      <div className="dj-Bar dj-mod-endless">
        <span />
      </div>
    </div>
  );
}
