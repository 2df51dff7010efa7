/** The grid of runs: a head with buttons that sort, and the rows in view. */
import { caretDownIcon, caretUpIcon, classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { RunGroup, RunRow } from '../../protocol';
import { useWindow } from '../views/window';
import type { Actions } from './actions';
import { GroupRow, ROW_PX, RunCells } from './cells';
import { groupTitle, kernelOf } from './groups';
import type { RunTableModel } from './model';
import type { Column } from './query';

const CHECK_PX = 34;

interface GridProps {
  model: RunTableModel;
  active: number;
  onActive: (index: number) => void;
  actions: Actions;
  onCompare: () => void;
  titleOfKernel: (kernelId: string) => string | null;
}

export function Grid({ model, active, onActive, actions, onCompare, titleOfKernel }: GridProps): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  const anchor = React.useRef(0);
  const id = React.useId();
  const { page, query } = model;
  const count = page?.rows ?? 0;
  const { shown } = model.columns;
  const { valueColumns } = model;
  const { first, end } = useWindow(host, '.dj-Table-scroll', count, ROW_PX);
  React.useEffect(() => model.want(first, end), [model, first, end, count]);

  // The last column, usually the notes, takes the room that is left.
  const widths = shown.map(({ widthPx }, index) =>
    index === shown.length - 1 ? `minmax(${widthPx}px, 1fr)` : `${widthPx}px`
  );
  const template = `${CHECK_PX}px ${widths.join(' ')}`;
  const widthPx = CHECK_PX + shown.reduce((sum, column) => sum + column.widthPx, 0);
  const titleOf = (group: RunGroup): string => {
    const kernel = group.by === 'notebook' ? kernelOf(group.value) : null;
    return (kernel === null ? null : titleOfKernel(kernel)) ?? groupTitle(group);
  };

  const keyOf = (group: RunGroup): string => `${group.by}:${group.value}`;
  const go = (index: number, isExtending: boolean): void => {
    const row = Math.max(0, Math.min(count - 1, index));
    onActive(row);
    reveal(host.current, row);
    if (isExtending) {
      selectRange(anchor.current, row);
    } else {
      anchor.current = row;
    }
  };
  const selectRange = (from: number, to: number): void => {
    const ids: string[] = [];
    for (let index = Math.min(from, to); index <= Math.max(from, to); index++) {
      const item = model.at(index);
      if (item === null) {
        model.refuseSelection();
        return;
      }
      if (item.kind === 'run') {
        ids.push(item.id);
      }
    }
    model.select(ids);
  };
  const onRow = (event: React.MouseEvent, index: number, run: RunRow): void => {
    host.current?.focus();
    onActive(index);
    if (event.shiftKey) {
      selectRange(anchor.current, index);
    } else if (event.ctrlKey || event.metaKey) {
      model.toggle(run.id);
      anchor.current = index;
    } else {
      model.select([run.id]);
      anchor.current = index;
    }
  };

  const onKeyDown = (event: React.KeyboardEvent): void => {
    const item = model.at(active);
    const pageRows = Math.max(1, end - first - 17);
    const isAlone = !event.ctrlKey && !event.metaKey && !event.altKey;
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + pageRows,
      PageUp: active - pageRows,
      Home: 0,
      End: count - 1
    };
    const move = moves[event.key];
    if (move !== undefined && isAlone) {
      go(move, event.shiftKey);
    } else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) {
      void model.selectAll();
    } else if (!isAlone) {
      return;
    } else if (item?.kind === 'group' && ['Enter', ' ', 'ArrowRight', 'ArrowLeft'].includes(event.key)) {
      const isWanted =
        event.key === 'ArrowRight' ? !item.is_open : event.key === 'ArrowLeft' ? item.is_open : true;
      if (isWanted) {
        model.toggleGroup(keyOf(item));
      }
    } else if (event.key === ' ' && item?.kind === 'run') {
      model.toggle(item.id);
    } else if (event.key === 'Escape' && model.selected.size > 0) {
      model.select([]);
    } else if (!act(event.key)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const act = (key: string): boolean => {
    switch (actions.hasAny ? key : '') {
      case 's':
        actions.star();
        return true;
      case 'F2':
      case 'Enter':
        if (actions.canRename) {
          void actions.rename();
        }
        return true;
      case 't':
        void actions.tag();
        return true;
      case 'n':
        void actions.note();
        return true;
      case 'a':
        actions.archive();
        return true;
      case 'c':
        if (actions.canCompare) {
          onCompare();
        }
        return true;
      case 'Delete':
      case 'Backspace':
        actions.delete();
        return true;
      default:
        return false;
    }
  };

  const rows: JSX.Element[] = [];
  for (let index = first; index < end; index++) {
    const item = model.at(index);
    const rowId = `${id}-${index}`;
    if (item === null) {
      continue;
    }
    rows.push(
      item.kind === 'group' ? (
        <GroupRow
          key={keyOf(item)}
          id={rowId}
          group={item}
          index={index}
          columns={shown.length}
          isActive={index === active}
          titleOf={titleOf}
          onToggle={() => {
            host.current?.focus();
            onActive(index);
            model.toggleGroup(keyOf(item));
          }}
        />
      ) : (
        <RunCells
          key={item.id}
          id={rowId}
          run={item}
          index={index}
          columns={shown}
          valueColumns={valueColumns}
          isSelected={model.selected.has(item.id)}
          isActive={index === active}
          isDeleted={model.deletions.has(item.id)}
          onClick={event => onRow(event, index, item)}
          onCheck={() => {
            onActive(index);
            model.toggle(item.id);
          }}
        />
      )
    );
  }

  return (
    <div
      className="dj-Table-scroll"
      style={{ '--dj-columns': template, '--dj-width': `${widthPx}px` } as React.CSSProperties}
    >
      <div
        className="dj-Table-content"
        role="grid"
        aria-label="Runs"
        aria-rowcount={count + 1}
        aria-multiselectable
      >
        <div className="dj-Row dj-Row-head" role="row" aria-rowindex={1}>
          <span role="columnheader" className="dj-Cell dj-Cell-check">
            <input
              type="checkbox"
              aria-label="Select all runs"
              title="Select all runs that match (Ctrl+A)"
              checked={model.selected.size > 0 && model.selected.size === page?.matching}
              ref={box => {
                if (box !== null) {
                  box.indeterminate = model.selected.size > 0 && model.selected.size !== page?.matching;
                }
              }}
              onChange={() => (model.selected.size > 0 ? model.select([]) : void model.selectAll())}
            />
          </span>
          {shown.map(column => (
            <Head
              key={column.id}
              column={column}
              order={query.sort !== column.id ? null : query.isDescending ? 'descending' : 'ascending'}
              onClick={() => model.sortBy(column.id)}
            />
          ))}
        </div>
        <div
          ref={host}
          className="dj-Table-rows"
          role="rowgroup"
          tabIndex={0}
          aria-label="Rows of runs"
          aria-activedescendant={active >= first && active < end ? `${id}-${active}` : undefined}
          style={{ height: count * ROW_PX }}
          onKeyDown={onKeyDown}
        >
          {rows}
        </div>
      </div>
    </div>
  );
}

interface HeadProps {
  column: Column;
  order: 'ascending' | 'descending' | null;
  onClick: () => void;
}

function Head({ column, order, onClick }: HeadProps): JSX.Element {
  const Caret = order === 'ascending' ? caretUpIcon : caretDownIcon;
  return (
    <span
      role="columnheader"
      aria-sort={order ?? 'none'}
      className={classes('dj-Cell', column.isNumber ? 'dj-mod-number' : '')}
    >
      <button type="button" className="dj-Head" title={`${column.title} (click: sort)`} onClick={onClick}>
        <span className="dj-Head-text">{column.label}</span>
        {order !== null && <Caret.react tag="span" className="dj-Head-caret" />}
      </button>
    </span>
  );
}

function reveal(list: HTMLElement | null, row: number): void {
  const view = list?.closest<HTMLElement>('.dj-Table-scroll');
  const headPx = view?.querySelector('.dj-Row-head')?.clientHeight ?? 0;
  if (view) {
    const top = row * ROW_PX;
    if (top < view.scrollTop) {
      view.scrollTop = top;
    } else if (top + ROW_PX + headPx > view.scrollTop + view.clientHeight) {
      view.scrollTop = top + ROW_PX + headPx - view.clientHeight;
    }
  }
}
