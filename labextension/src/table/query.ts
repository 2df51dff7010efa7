/** What the table of runs asks the server for, and which columns it has. */
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { RunPage } from '../../protocol';

export type Grouping = '' | 'definition' | 'notebook' | 'code';

export const GROUPINGS: readonly { id: Grouping; label: string }[] = [
  { id: '', label: 'No groups' },
  { id: 'definition', label: 'By definition' },
  { id: 'notebook', label: 'By notebook' },
  { id: 'code', label: 'By code' }
];

/** Which runs are shown, and in which order. */
export interface Query {
  text: string;
  where: string;
  sort: string;
  isDescending: boolean;
  group: Grouping;
  /** The groups that are not as they are at first: `by:value`. */
  toggled: readonly string[];
  includeArchived: boolean;
}

export const FIRST_QUERY: Query = {
  text: '',
  where: '',
  sort: 'started',
  isDescending: true,
  group: '',
  toggled: [],
  includeArchived: false
};

/** What the tab shows: it is the same after the page was loaded again. */
export interface Place {
  query: Query;
  /** The ids of the runs that are compared, null for the table. */
  compared: readonly string[] | null;
}

/** Return the place that was saved as JSON; what another version has saved in another form is as it is at first. */
export function toPlace(saved: ReadonlyPartialJSONObject): Place {
  const { query, compared } = saved as { query?: Partial<Query>; compared?: unknown };
  const { text, where, sort, isDescending, group, toggled, includeArchived } = query ?? {};
  return {
    query: {
      text: typeof text === 'string' ? text : FIRST_QUERY.text,
      where: typeof where === 'string' ? where : FIRST_QUERY.where,
      sort: typeof sort === 'string' ? sort : FIRST_QUERY.sort,
      isDescending: isDescending ?? FIRST_QUERY.isDescending,
      group: GROUPINGS.find(({ id }) => id === group)?.id ?? FIRST_QUERY.group,
      toggled: isTexts(toggled) ? toggled : FIRST_QUERY.toggled,
      includeArchived: includeArchived ?? FIRST_QUERY.includeArchived
    },
    compared: isTexts(compared) ? compared : null
  };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(one => typeof one === 'string');
}

/** Return the query as the server reads it. */
export function toParameters(query: Query): Record<string, string> {
  return {
    text: query.text,
    where: query.where,
    sort: query.sort,
    descending: query.isDescending ? '1' : '0',
    group: query.group,
    toggled: JSON.stringify(query.toggled),
    archived: query.includeArchived ? '1' : '0'
  };
}

export interface Column {
  /** What the server sorts by, and the name of its value. */
  id: string;
  label: string;
  title: string;
  widthPx: number;
  isNumber: boolean;
  kind: 'own' | 'hyperparameter' | 'metric';
}

function own(id: string, label: string, widthPx: number, isNumber = false): Column {
  return { id, label, title: label, widthPx, isNumber, kind: 'own' };
}

/** The columns that every table has at first, before and after those of hyperparameters and metrics. */
const LEADING: readonly Column[] = [
  own('state', 'State', 108),
  own('name', 'Run', 184),
  own('definition', 'Definition', 150)
];
const BEST = own('best', 'Best', 140, true);
const TRAILING: readonly Column[] = [
  own('batches', 'Batches', 78, true),
  own('duration', 'Duration', 96, true),
  own('started', 'Started', 132),
  own('tags', 'Tags', 130),
  own('note', 'Note', 240)
];
const MORE: readonly Column[] = [own('seed', 'Seed', 84, true), own('device', 'Device', 84)];

/** The columns that cannot be hidden. */
export const FIXED: ReadonlySet<string> = new Set(['state', 'name']);

/** So many differing hyperparameters and metrics are columns until others are chosen. */
const AT_FIRST = { hyperparameters: 6, metrics: 3 };

/** The columns that the user has shown and hidden. */
export interface ColumnChoice {
  added: readonly string[];
  removed: readonly string[];
}

export const NO_CHOICE: ColumnChoice = { added: [], removed: [] };

type Names = Pick<RunPage, 'hyperparameters' | 'differing' | 'metrics'>;

/** Return all columns that a table of these runs can have, and those that it has. */
export function columnsOf(names: Names | null, choice: ColumnChoice): { all: Column[]; shown: Column[] } {
  const { hyperparameters, differing, metrics } = names ?? {
    hyperparameters: [],
    differing: [],
    metrics: []
  };
  const all = [
    ...LEADING,
    ...hyperparameters.map(hyperparameterColumn),
    BEST,
    ...validationFirst(metrics).map(metricColumn),
    ...TRAILING,
    ...MORE
  ];
  const atFirst = new Set([
    ...[...LEADING, BEST, ...TRAILING].map(({ id }) => id),
    ...differing.slice(0, AT_FIRST.hyperparameters),
    ...validationFirst(metrics).slice(0, AT_FIRST.metrics)
  ]);
  const isShown = ({ id }: Column): boolean =>
    FIXED.has(id) || ((choice.added.includes(id) || atFirst.has(id)) && !choice.removed.includes(id));
  return { all, shown: all.filter(isShown) };
}

/** Return the choice after a column was shown or hidden. */
export function withColumn(choice: ColumnChoice, id: string, isShown: boolean): ColumnChoice {
  const without = (ids: readonly string[]): string[] => ids.filter(one => one !== id);
  return isShown
    ? { added: [...without(choice.added), id], removed: without(choice.removed) }
    : { added: without(choice.added), removed: [...without(choice.removed), id] };
}

function validationFirst(metrics: readonly string[]): string[] {
  return [...metrics].sort((a, b) => Number(isTraining(a)) - Number(isTraining(b)));
}

function isTraining(metric: string): boolean {
  return metric.startsWith('training.');
}

function hyperparameterColumn(id: string): Column {
  const label = id.replace(/^hparam\./, '');
  return {
    id,
    label,
    title: `Hyperparameter ${label}`,
    widthPx: 104,
    isNumber: true,
    kind: 'hyperparameter'
  };
}

function metricColumn(id: string): Column {
  const dot = id.indexOf('.');
  const [group, name] = [id.slice(0, dot), id.slice(dot + 1)];
  const label = isTraining(id) ? `${name} (training)` : name;
  return {
    id,
    label,
    title: `Newest ${group} value of ${name}`,
    widthPx: 116,
    isNumber: true,
    kind: 'metric'
  };
}
