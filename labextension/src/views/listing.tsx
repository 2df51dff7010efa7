/** The files of a definition: how much ships, against the limit, and the tree. */
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount } from '../../live/format';
import type { DefinitionRecord, DeterminedRecord } from '../../protocol';
import { NEAR_THE_LIMIT } from '../../protocol';
import type { PanelModel } from '../model/panel';
import { EditView } from './edit';
import { Files } from './files';
import { Fact, Facts, Middle, withCode } from './state';

interface ListingProps {
  model: PanelModel;
  record: DefinitionRecord;
  isLoaded: boolean;
}

export function Listing({ model, record, isLoaded }: ListingProps): JSX.Element {
  const { comparison } = model.definition;
  const { entrypoints, problems, remarks, truncated } = record;
  const [differingOnly, setDifferingOnly] = React.useState(false);
  const onOpen = React.useCallback((file: string) => model.openFileOfDefinition(file), [model]);
  const onEdit = React.useCallback(
    (file: string, include: boolean) => void model.edit.propose(file, include),
    [model]
  );
  return (
    <>
      {!isLoaded && <Entrypoints record={record} />}
      <div className="dj-Block dj-Totals">
        <Totals record={record} />
        {comparison !== null && (
          <Comparison
            comparison={comparison}
            isPressed={differingOnly}
            onClick={() => setDifferingOnly(!differingOnly)}
          />
        )}
        {[...problems, ...remarks].map(problem => (
          <p key={problem} className="dj-faint dj-Problem">
            {withCode(problem)}
          </p>
        ))}
        {isLoaded && entrypoints.length > 1 && (
          <p className="dj-faint">
            Also here:{' '}
            {entrypoints.map((entrypoint, index) => (
              <React.Fragment key={entrypoint}>
                {index > 0 && ', '}
                <span className="dj-Entrypoint" title={entrypoint}>
                  <Middle text={entrypoint} />
                </span>
              </React.Fragment>
            ))}
          </p>
        )}
      </div>
      <EditView edit={model.edit} />
      <Files
        record={record}
        comparison={comparison}
        differingOnly={differingOnly && (comparison?.total ?? 0) > 0}
        onOpen={onOpen}
        onEdit={onEdit}
      />
      {truncated > 0 && (
        <p className="dj-Note">
          {formatCount(truncated)} more {truncated === 1 ? 'entry is' : 'entries are'} not listed.{' '}
          <code>%det_files</code> lists all of them.
        </p>
      )}
    </>
  );
}

function Totals({ record }: { record: DefinitionRecord }): JSX.Element {
  const { included_files, included_bytes, excluded_entries, limit_bytes, largest } = record;
  const share = included_bytes / limit_bytes;
  return (
    <>
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
        className={classes(
          'dj-Bar',
          share > 1 ? 'dj-mod-alarm' : share > NEAR_THE_LIMIT ? 'dj-mod-warn' : ''
        )}
        role="meter"
        aria-label="Size of what ships, against the limit"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(Math.min(share, 1) * 100)}
      >
        <span style={{ width: `${Math.min(share, 1) * 100}%` }} />
      </div>
      {share > NEAR_THE_LIMIT && (
        <div className="dj-Largest">
          <p className={share > 1 ? 'dj-Alarm' : 'dj-faint'}>
            {share > 1
              ? `${formatBytes(included_bytes - limit_bytes)} over the limit.`
              : `${formatBytes(limit_bytes - included_bytes)} below the limit.`}{' '}
            {largest.length > 0 && 'Largest:'}
          </p>
          <ul>
            {largest.map(({ path, size_bytes, files }) => (
              <li key={path} title={`${path}\n${formatCount(files)} ${files === 1 ? 'file' : 'files'}`}>
                <code>{path}</code>
                <span>{formatBytes(size_bytes)}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}

interface ComparisonProps {
  comparison: DeterminedRecord;
  isPressed: boolean;
  onClick: () => void;
}

/** On how many paths Determined's uploader decides differently; a click shows only those. */
function Comparison({ comparison, isPressed, onClick }: ComparisonProps): JSX.Element | null {
  const { total, problems } = comparison;
  if (total === 0 && problems.length === 0) {
    return null;
  }
  return (
    <>
      {total > 0 && (
        <button
          type="button"
          className="dj-Differences"
          aria-pressed={isPressed}
          title={`Determined's own uploader reads .detignore in its own way\nand decides differently about these paths.\nClick: ${isPressed ? 'show all paths' : 'show only these'}`}
          onClick={onClick}
        >
          <span className="dj-File-differs">≠</span>
          <span>
            Determined: <b>{formatCount(total)}</b> {total === 1 ? 'path differs' : 'paths differ'}
          </span>
        </button>
      )}
      {problems.map(problem => (
        <p key={problem} className="dj-faint dj-Problem">
          Determined: {withCode(problem.charAt(0).toLowerCase() + problem.slice(1))}
        </p>
      ))}
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
        </Facts>
      )}
    </div>
  );
}
