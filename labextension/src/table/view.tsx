/** The table of runs: what is shown of them, the grid, and what can be done with the selected ones. */
import { filterIcon, searchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { RunRow } from '../../protocol';
import { Code, Empty, Failure, IconButton, Loading, Message } from '../views/state';
import { archiveIcon } from '../icons';
import { ActionBar, Actions, Notices } from './actions';
import { Chooser } from './chooser';
import { Grid } from './grid';
import type { RunTableModel } from './model';
import type { Grouping, Query } from './query';
import { GROUPINGS } from './query';

/** A pause in typing after which the server is asked. */
const TYPED_MS = 150;

interface TableProps {
  model: RunTableModel;
  onCompare: (runIds: readonly string[]) => void;
  /** The notebook of a kernel that is running. */
  titleOfKernel: (kernelId: string) => string | null;
}

export function TableView({ model, onCompare, titleOfKernel }: TableProps): JSX.Element {
  const [active, setActive] = React.useState(0);
  /** The fields begin again with what the query has. */
  const [turn, setTurn] = React.useState(0);
  const { page, error, query } = model;

  if (page === null) {
    return error === null ? <Loading /> : <Failure error={error} onRetry={() => model.refresh()} />;
  }
  const activeItem = model.at(active);
  const ids =
    model.selected.size > 0 ? [...model.selected] : activeItem?.kind === 'run' ? [activeItem.id] : [];
  const actions = new Actions(model, known(model, ids), ids);
  const compare = (): void => onCompare(ids);
  return (
    <>
      <div className="dj-Table-tools">
        <Field
          key={`text ${turn}`}
          icon={searchIcon}
          label="Search runs"
          title="Words in the name, the tags, the note, the state, the definition or the id"
          value={query.text}
          onChange={text => {
            setActive(0);
            model.ask({ text });
          }}
        />
        <Field
          key={`where ${turn}`}
          icon={filterIcon}
          label="lr &lt; 1e-3 and accuracy &gt; 0.9"
          title="A condition, as in dj.runs(where=…): comparisons of hyperparameters, metrics and facts, with and, or, not"
          isCode
          isWrong={model.conditionError !== null}
          value={query.where}
          onChange={where => {
            setActive(0);
            model.ask({ where });
          }}
        />
        <select
          className="dj-Select"
          aria-label="Groups"
          title="Group the runs"
          value={query.group}
          onChange={event => model.ask({ group: event.target.value as Grouping, toggled: [] })}
        >
          {GROUPINGS.map(({ id, label }) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </select>
        <IconButton
          icon={archiveIcon}
          label="Archived"
          title={
            query.includeArchived
              ? 'Hide archived runs'
              : `Show archived runs (${formatCount(page.archived)})`
          }
          labelled
          pressed={query.includeArchived}
          onClick={() => model.ask({ includeArchived: !query.includeArchived })}
        />
        <Chooser model={model} />
        <span className="dj-Table-count" role="status">
          {countText(page.matching, page.runs - (query.includeArchived ? 0 : page.archived))}
        </span>
      </div>
      {model.conditionError !== null && (
        <div className="dj-Table-mistake" role="alert">
          <Message error={model.conditionError} />
        </div>
      )}
      <ActionBar model={model} actions={actions} onCompare={compare} />
      <Notices model={model} />
      {error !== null && <Failure error={error} onRetry={() => model.refresh()} />}
      {page.rows > 0 ? (
        <Grid
          model={model}
          active={active}
          onActive={setActive}
          actions={actions}
          onCompare={compare}
          titleOfKernel={titleOfKernel}
        />
      ) : (
        <Nothing
          query={query}
          hasRuns={page.runs > 0}
          onShowAll={() => {
            model.ask({ text: '', where: '' });
            setTurn(turn + 1);
          }}
        />
      )}
    </>
  );
}

interface NothingProps {
  query: Query;
  hasRuns: boolean;
  onShowAll: () => void;
}

function Nothing({ query: { text, where }, hasRuns, onShowAll }: NothingProps): JSX.Element {
  if (!hasRuns) {
    return (
      <Empty title="No runs yet">
        <p>Every training is kept here, also when its kernel or its notebook is gone.</p>
        <Code>%det_train --epochs 5</Code>
      </Empty>
    );
  }
  return (
    <Empty title={text === '' && where === '' ? 'All runs are archived' : 'No run matches'}>
      {(text !== '' || where !== '') && (
        <button type="button" className="dj-TextButton" onClick={onShowAll}>
          Show all runs
        </button>
      )}
    </Empty>
  );
}

interface FieldProps {
  icon: typeof searchIcon;
  label: string;
  title: string;
  value: string;
  isCode?: boolean;
  isWrong?: boolean;
  onChange: (text: string) => void;
}

/** A field whose text counts after a pause in typing, or at once with the Enter key. */
function Field({ icon: Icon, label, title, value, isCode, isWrong, onChange }: FieldProps): JSX.Element {
  const [text, setText] = React.useState(value);
  const timer = React.useRef(0);
  React.useEffect(() => () => window.clearTimeout(timer.current), []);
  const change = (next: string, waitMs: number): void => {
    setText(next);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => onChange(next), waitMs);
  };
  return (
    <label className={`dj-Search dj-Table-field${isCode ? ' dj-mod-code' : ''}`} title={title}>
      <Icon.react tag="span" className="dj-Search-icon" />
      <input
        type="search"
        className="dj-Search-input"
        placeholder={label}
        aria-label={isCode ? 'Condition' : label}
        aria-invalid={isWrong}
        spellCheck={false}
        value={text}
        onChange={event => change(event.target.value, TYPED_MS)}
        onKeyDown={event => {
          if (event.key === 'Enter') {
            change(text, 0);
          } else if (event.key === 'Escape' && text !== '') {
            change('', 0);
            event.stopPropagation();
          }
        }}
      />
    </label>
  );
}

function countText(matching: number, runs: number): string {
  const all = runs === 1 ? '1 run' : `${formatCount(runs)} runs`;
  return matching === runs ? all : `${formatCount(matching)} of ${all}`;
}

/** Return those of the runs whose rows were fetched. */
function known(model: RunTableModel, ids: readonly string[]): RunRow[] {
  const wanted = new Set(ids);
  return model.fetched().filter(run => wanted.has(run.id));
}
