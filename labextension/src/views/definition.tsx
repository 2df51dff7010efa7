/** Section "Definition": what is loaded, and which files ship. */
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount } from '../../chart';
import type { CardRecord, DefinitionRecord } from '../../protocol';
import type { PanelModel } from '../model';
import { Files } from './files';
import { Hyperparameters } from './hyperparameters';
import { Empty, Fact, Facts, Failure, Loading } from './state';

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
  return (
    <>
      {session.card !== null && <Card card={session.card} />}
      {definition.path === null ? (
        <p className="dj-Note">
          The loaded definition is outside of the directory that this Jupyter server serves, so its files are
          not listed here. <code>%det_files</code> lists them.
        </p>
      ) : definition.record !== null ? (
        <Listing record={definition.record} isLoaded={session.card !== null} />
      ) : definition.error === null ? (
        <Loading />
      ) : null}
      {definition.error !== null && (
        <Failure error={definition.error} onRetry={() => void definition.refresh()} />
      )}
    </>
  );
}

function Card({ card }: { card: CardRecord }): JSX.Element {
  const { hyperparameters } = card;
  return (
    <div className="dj-Block dj-Card" data-entrypoint={card.entrypoint}>
      <div className="dj-Title">
        <span className="dj-Title-name" title={card.entrypoint}>
          {card.class_name}
        </span>
        <span className="dj-Title-side" title={`${card.file}, line ${card.line}`}>
          {basename(card.file)}:{card.line}
        </span>
      </div>
      <div className="dj-Line dj-faint">
        <span title="Framework, device and seed">
          {card.framework} · {card.device} · seed {card.seed}
        </span>
        <code title={`Hash of the code that ships:\n${card.bundle_hash}`}>
          {card.bundle_hash.slice(0, 8)}
        </code>
      </div>
      {hyperparameters.length > 0 && (
        <details className="dj-Details">
          <summary>
            <span className="dj-Line">
              <span>
                <b>{hyperparameters.length}</b>{' '}
                {hyperparameters.length === 1 ? 'hyperparameter' : 'hyperparameters'}
              </span>
              {card.config_path !== null && (
                <span className="dj-faint" title={card.config_path}>
                  {basename(card.config_path)}
                </span>
              )}
            </span>
          </summary>
          <Hyperparameters rows={hyperparameters} />
        </details>
      )}
    </div>
  );
}

function Listing({ record, isLoaded }: { record: DefinitionRecord; isLoaded: boolean }): JSX.Element {
  const { entrypoints, included_files, included_bytes, excluded_entries, limit_bytes, truncated } = record;
  const share = included_bytes / limit_bytes;
  return (
    <>
      {!isLoaded && <Entrypoints record={record} />}
      <div className="dj-Block">
        <div className="dj-Line">
          <span
            title={`${formatCount(included_files)} files ship, ${formatCount(excluded_entries)} entries are left out`}
          >
            <b>{formatCount(included_files)}</b> {included_files === 1 ? 'file ships' : 'files ship'}
            {excluded_entries > 0 && (
              <span className="dj-faint"> · {formatCount(excluded_entries)} left out</span>
            )}
          </span>
          <span className="dj-faint" title={`Limit: ${formatBytes(limit_bytes)}`}>
            {formatBytes(included_bytes)} of {formatBytes(limit_bytes)}
          </span>
        </div>
        <div
          className={classes('dj-Bar', share > 1 ? 'dj-mod-alarm' : share > 0.8 ? 'dj-mod-warn' : '')}
          role="meter"
          aria-label="Size of what ships, against the limit"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(Math.min(share, 1) * 100)}
        >
          <span style={{ width: `${Math.min(share, 1) * 100}%` }} />
        </div>
        {share > 1 && (
          <p className="dj-Alarm">
            {formatBytes(included_bytes - limit_bytes)} over the limit. Add what need not ship to{' '}
            <code>.detignore</code>.
          </p>
        )}
        {isLoaded && entrypoints.length > 1 && (
          <p className="dj-faint">Also here: {entrypoints.join(', ')}</p>
        )}
      </div>
      <Files path={record.path} files={record.files} />
      {truncated > 0 && (
        <p className="dj-Note">
          {formatCount(truncated)} more {truncated === 1 ? 'entry is' : 'entries are'} not listed.{' '}
          <code>%det_files</code> lists all of them.
        </p>
      )}
    </>
  );
}

/** What can be loaded from here; the section "Live" has the lines that do it. */
function Entrypoints({ record }: { record: DefinitionRecord }): JSX.Element {
  const [first] = record.entrypoints;
  return (
    <div className="dj-Block">
      <div className="dj-Title">
        <span className="dj-Title-name" title={record.path || record.name}>
          {record.name}
        </span>
      </div>
      {first === undefined ? (
        <p className="dj-faint">
          There is no Trial class in this directory. Write one in a <code>.py</code> file here, or open the
          notebook of a model definition.
        </p>
      ) : (
        <Facts>
          {record.entrypoints.map(entrypoint => (
            <Fact key={entrypoint} name="Entrypoint">
              {entrypoint}
            </Fact>
          ))}
          <Fact name="Loaded">not yet</Fact>
        </Facts>
      )}
    </div>
  );
}

function basename(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
