/** The rows of the table of runs. */
import { caretDownIcon, caretRightIcon, classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount, formatDuration, formatValue, toNumber } from '../../live/format';
import type { RunGroup, RunRow } from '../../protocol';
import { Middle, StateBadge } from '../views/state';
import { formatDate, formatShortDate } from '../views/time';
import { kernelOf } from './groups';
import type { Column } from './query';

export const ROW_PX = 30;

interface RunCellsProps {
  id: string;
  run: RunRow;
  index: number;
  columns: readonly Column[];
  /** The ids of the columns that `run.values` are of. */
  valueColumns: readonly string[];
  isSelected: boolean;
  isActive: boolean;
  isDeleted: boolean;
  onClick: (event: React.MouseEvent) => void;
  onCheck: () => void;
}

export const RunCells = React.memo(function RunCells(props: RunCellsProps): JSX.Element {
  const { id, run, index, columns, valueColumns, isSelected, isActive, isDeleted, onClick, onCheck } = props;
  return (
    <div
      id={id}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={isSelected}
      className={classes(
        'dj-Row',
        isSelected ? 'dj-mod-selected' : '',
        isActive ? 'dj-mod-active' : '',
        isDeleted ? 'dj-mod-deleted' : '',
        run.archived ? 'dj-mod-archived' : ''
      )}
      data-run={run.id}
      style={{ top: index * ROW_PX }}
      onClick={onClick}
    >
      <span role="gridcell" className="dj-Cell dj-Cell-check">
        <input
          type="checkbox"
          tabIndex={-1}
          aria-label={`Select ${run.name || run.id}`}
          checked={isSelected}
          onClick={event => event.stopPropagation()}
          onChange={onCheck}
        />
      </span>
      {columns.map(column => (
        <Cell key={column.id} column={column} run={run} value={run.values[valueColumns.indexOf(column.id)]} />
      ))}
    </div>
  );
});

function Cell({ column, run, value }: { column: Column; run: RunRow; value: unknown }): JSX.Element {
  const { text, title, content } = contentOf(column.id, run, value);
  const isNumber = column.kind === 'own' ? column.isNumber : typeof value !== 'string';
  return (
    <span
      role="gridcell"
      className={classes('dj-Cell', isNumber ? 'dj-mod-number' : '')}
      title={title ?? text}
    >
      {content ?? text}
    </span>
  );
}

interface Content {
  text: string;
  title?: string;
  content?: JSX.Element;
}

function contentOf(column: string, run: RunRow, value: unknown): Content {
  const started = toNumber(run.created_at);
  switch (column) {
    case 'state':
      return { text: '', title: '', content: <StateBadge state={run.state} /> };
    case 'name':
      return {
        text: run.name || run.id,
        title: run.name === '' ? run.id : `${run.name}\n${run.id}`,
        content: (
          <>
            {run.starred && (
              <span className="dj-Star" role="img" aria-label="starred">
                ★
              </span>
            )}
            {run.name === '' ? <code className="dj-faint">{run.id}</code> : run.name}
            {run.archived && <span className="dj-faint"> (archived)</span>}
          </>
        )
      };
    case 'definition':
      return {
        text: run.entrypoint,
        title: `${run.definition_root}\n${run.entrypoint}`,
        content: <Middle text={run.entrypoint} />
      };
    case 'best':
      return run.best === null
        ? { text: '–' }
        : {
            text: `${run.best.name} ${formatValue(toNumber(run.best.value))}`,
            content: (
              <span className="dj-Best">
                <span className="dj-faint">{run.best.name}</span>
                <span>{formatValue(toNumber(run.best.value))}</span>
              </span>
            )
          };
    case 'batches':
      return { text: formatCount(run.batches_trained) };
    case 'duration':
      return { text: formatDuration(toNumber(run.seconds)) };
    case 'started':
      return { text: formatShortDate(started), title: formatDate(started) };
    case 'tags':
      return {
        text: run.tags.join(', '),
        content: (
          <>
            {run.tags.map(tag => (
              <span key={tag} className="dj-Tag">
                {tag}
              </span>
            ))}
          </>
        )
      };
    case 'note':
      return { text: run.note.replace(/\s+/g, ' '), title: run.note };
    default:
      return { text: valueText(value) };
  }
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) {
    return '–';
  }
  if (typeof value === 'number') {
    return formatValue(value);
  }
  // the server sends all other values as text
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return ['NaN', 'Infinity', '-Infinity'].includes(text) ? formatValue(Number(text)) : text;
}

interface GroupRowProps {
  id: string;
  group: RunGroup;
  index: number;
  columns: number;
  isActive: boolean;
  titleOf: (group: RunGroup) => string;
  onToggle: () => void;
}

export function GroupRow({
  id,
  group,
  index,
  columns,
  isActive,
  titleOf,
  onToggle
}: GroupRowProps): JSX.Element {
  const Caret = group.is_open ? caretDownIcon : caretRightIcon;
  const title = titleOf(group);
  const whole = group.by === 'notebook' && kernelOf(group.value) === null ? group.value : title;
  return (
    <div
      id={id}
      role="row"
      aria-rowindex={index + 2}
      aria-expanded={group.is_open}
      className={classes('dj-Row', 'dj-Row-group', isActive ? 'dj-mod-active' : '')}
      style={{ top: index * ROW_PX }}
      onClick={onToggle}
    >
      <span role="gridcell" aria-colspan={columns + 1} className="dj-Row-title" title={whole}>
        <Caret.react tag="span" className="dj-Row-caret" />
        <span className="dj-Row-name">{title}</span>
        <span className="dj-faint">{formatCount(group.count)}</span>
      </span>
    </div>
  );
}
