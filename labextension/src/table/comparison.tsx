/** Runs next to each other: their curves in the same charts, what differs, their values, and of two runs the code. */
import { caretLeftIcon, copyIcon } from '@jupyterlab/ui-components';
import { Clipboard } from '@jupyterlab/apputils';
import * as React from 'react';

import { formatCount, formatValue, toNumber } from '../../live/format';
import type { ComparedCurves, ComparisonRecord, RunRow, Scalar } from '../../protocol';
import type { Api } from '../api';
import { Failure, IconButton, Loading, Middle, StateBadge } from '../views/state';
import { ComparedCharts, RunSwatch, useIsDark } from './charts';
import { Events } from './events';
import { Explore } from './explore';

interface ComparisonProps {
  api: Pick<Api, 'comparison' | 'story' | 'seriesBetween'>;
  runIds: readonly string[];
  onClose: () => void;
  /** Compare other runs. */
  onCompare: (runIds: readonly string[]) => void;
}

export function ComparisonView({ api, runIds, onClose, onCompare }: ComparisonProps): JSX.Element {
  const [found, setFound] = React.useState<ComparisonRecord | Error | null>(null);
  const [attempt, setAttempt] = React.useState(0);
  React.useEffect(() => {
    let isCurrent = true;
    api.comparison(runIds).then(
      record => isCurrent && setFound(record),
      (error: Error) => isCurrent && setFound(error)
    );
    return () => {
      isCurrent = false;
    };
  }, [api, runIds, attempt]);
  return (
    <div
      className="dj-Comparison"
      onKeyDown={event => {
        if (event.key === 'Escape') {
          onClose();
          event.stopPropagation();
        }
      }}
    >
      <div className="dj-Table-actions">
        <button
          type="button"
          autoFocus
          className="dj-TextButton dj-mod-small"
          title="Back to all runs (Escape)"
          onClick={onClose}
        >
          <caretLeftIcon.react tag="span" className="dj-Row-caret" />
          All runs
        </button>
        <span className="dj-Table-space" />
        <IconButton
          icon={copyIcon}
          label="Copy %det_compare"
          title="Copy the line %det_compare … for a notebook"
          labelled
          onClick={() => Clipboard.copyToSystem(`%det_compare ${runIds.join(' ')}`)}
        />
      </div>
      {found === null && <Loading />}
      {found instanceof Error && (
        <Failure
          error={found}
          onRetry={() => {
            setFound(null);
            setAttempt(attempt + 1);
          }}
        />
      )}
      {found !== null && !(found instanceof Error) && (
        <Compared api={api} record={found} onCompare={onCompare} />
      )}
    </div>
  );
}

interface ComparedProps {
  api: Pick<Api, 'story' | 'seriesBetween'>;
  record: ComparisonRecord;
  onCompare: (runIds: readonly string[]) => void;
}

function Compared({ api, record, onCompare }: ComparedProps): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  const isDark = useIsDark(host);
  const names = React.useMemo(() => record.runs.map(nameOf), [record]);
  const { settings, metrics, more_settings: moreSettings, more_metrics: moreMetrics, code } = record;
  return (
    <div ref={host} className="dj-Comparison-body">
      <section aria-label="Curves">
        <ComparedCharts api={api} record={record} />
        {metrics.length === 0 && <p className="dj-faint">No metrics were recorded.</p>}
        {moreMetrics > 0 && (
          <p className="dj-faint">{formatCount(moreMetrics)} more metrics are not shown.</p>
        )}
      </section>
      <div className="dj-Comparison-tables">
        <table className="dj-Compared">
          <thead>
            <tr>
              <th scope="col">Run</th>
              {record.runs.map((run, index) => (
                <th key={run.id} scope="col" title={`${nameOf(run)}\n${run.id}`}>
                  <RunSwatch place={index} />
                  <Middle text={nameOf(run)} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">state</th>
              {record.runs.map(run => (
                <td key={run.id}>
                  <StateBadge state={run.state} />
                </td>
              ))}
            </tr>
            <Values name="batches" values={record.runs.map(run => formatCount(run.batches_trained))} />
            <Values name="note" values={record.runs.map(run => run.note || null)} isOptional />
            <Part
              title={settings.length === 0 ? 'No setting differs' : 'Settings that differ'}
              columns={names.length}
            />
            {settings.map(({ name, values }) => (
              <Values key={name} name={name} values={values} />
            ))}
            {moreSettings > 0 && (
              <Part title={`${formatCount(moreSettings)} more settings differ`} columns={names.length} />
            )}
            {metrics.length > 0 && <Part title="Last value (smallest – largest)" columns={names.length} />}
            {metrics.map(metric => (
              <Values
                key={`${metric.group}.${metric.name}`}
                name={`${metric.name} (${metric.group})`}
                values={metric.newest.map((value, index) => metricText(metric, value, index))}
              />
            ))}
          </tbody>
        </table>
      </div>
      <Explore
        key={record.runs.map(({ id }) => id).join()}
        axes={record.axes}
        names={names}
        isDark={isDark}
        onCompare={runs => onCompare(runs.map(run => record.runs[run]!.id))}
      />
      <Events
        events={record.events}
        heads={names.map((name, index) => ({ name, swatch: <RunSwatch place={index} /> }))}
      />
      {code !== '' && (
        <details className="dj-Details dj-Comparison-part dj-Comparison-code" open>
          <summary>
            From {names[0]} to {names[1]}
          </summary>
          <pre>{code}</pre>
        </details>
      )}
    </div>
  );
}

function Part({ title, columns }: { title: string; columns: number }): JSX.Element {
  return (
    <tr className="dj-Compared-part">
      <th scope="rowgroup" colSpan={columns + 1}>
        <span>{title}</span>
      </th>
    </tr>
  );
}

interface ValuesProps {
  name: string;
  values: readonly (string | null)[];
  /** Whether the row is only there if a run has a value. */
  isOptional?: boolean;
}

function Values({ name, values, isOptional }: ValuesProps): JSX.Element | null {
  if (isOptional && values.every(value => value === null)) {
    return null;
  }
  return (
    <tr>
      <th scope="row" title={name}>
        {name}
      </th>
      {values.map((value, index) => (
        <td key={index} title={value ?? undefined}>
          {value ?? '–'}
        </td>
      ))}
    </tr>
  );
}

function nameOf(run: RunRow): string {
  return run.name || run.id;
}

function metricText(
  { smallest, largest }: ComparedCurves,
  value: Scalar | null,
  index: number
): string | null {
  if (value === null) {
    return null;
  }
  const [low, high] = [smallest[index], largest[index]];
  const last = formatValue(toNumber(value));
  return low === null || low === undefined || high === null || high === undefined
    ? last
    : `${last} (${formatValue(toNumber(low))} – ${formatValue(toNumber(high))})`;
}
