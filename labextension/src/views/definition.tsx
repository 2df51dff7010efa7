/** Section "Definition": what is loaded, and which files ship. */
import * as React from 'react';

import { formatCount } from '../../chart';
import type { PanelModel } from '../model';
import type { DefinitionModel } from '../model/definition';
import { Card } from './card';
import { Listing } from './listing';
import { Empty, Failure, Loading, Message } from './state';

export function DefinitionView({ model }: { model: PanelModel }): JSX.Element {
  const { definition, notebook, session } = model;
  if (notebook.path === null) {
    return (
      <Empty title="No notebook is open">
        <p>
          Open a notebook beside a model definition: a directory of Python files with a Trial class in it.
        </p>
      </Empty>
    );
  }
  const { card } = session;
  const isListed = definition.path !== null && definition.path === session.definitionPath;
  return (
    <>
      {card !== null && <Card model={model} card={card} isListed={isListed} />}
      {definition.found !== null && <Scanning definition={definition} found={definition.found} />}
      {definition.isTooLarge ? (
        <TooLarge definition={definition} />
      ) : (
        definition.error !== null && (
          <Failure error={definition.error} onRetry={() => void definition.refresh()} />
        )
      )}
      {definition.path === null ? (
        <p className="dj-Note">
          The loaded definition is outside of the directory that this Jupyter server serves, so its files are
          not listed here. <code>%det_files</code> lists them.
        </p>
      ) : definition.record !== null ? (
        <Listing model={model} record={definition.record} isLoaded={card !== null} />
      ) : definition.error === null && definition.found === null ? (
        <Loading />
      ) : null}
    </>
  );
}

/** A scan that takes long: how far it is, and a way to end it. */
function Scanning({ definition, found }: { definition: DefinitionModel; found: number }): JSX.Element {
  return (
    <div className="dj-Callout dj-Scanning" role="status">
      <div className="dj-Callout-head">
        <span className="dj-Callout-title">
          {found === 0 ? 'Reading the directory…' : `Reading the directory… ${formatCount(found)} entries`}
        </span>
        <button type="button" className="dj-TextButton dj-mod-small" onClick={() => definition.stop()}>
          Stop
        </button>
      </div>
      <div className="dj-Bar dj-mod-endless">
        <span />
      </div>
    </div>
  );
}

/** So many entries that this is perhaps no model definition: a home directory, the root of a disk. */
function TooLarge({ definition }: { definition: DefinitionModel }): JSX.Element {
  return (
    <div className="dj-Callout dj-TooLarge" role="alert">
      {definition.error !== null && <Message error={definition.error} />}
      <button type="button" className="dj-TextButton" onClick={() => definition.scanAnyway()}>
        Scan anyway
      </button>
    </div>
  );
}
