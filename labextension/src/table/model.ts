/** The state of the table of runs: what is asked for, which rows are there, and what is selected. */
import type { IDisposable } from '@lumino/disposable';
import { Throttler } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { RunPage, RunRecord, RunRow } from '../../protocol';
import { MOST_COLUMNS } from '../../protocol';
import type { Annotation, Api } from '../api';
import { AnswerError } from '../errors';
import { Deletions } from './deletions';
import type { Column, ColumnChoice, Query } from './query';
import { columnsOf, FIRST_QUERY, NO_CHOICE, toParameters, withColumn } from './query';
import type { Item } from './rows';
import { Rows } from './rows';

/** A training changes its run many times a second. */
const REFRESH_EVERY_MS = 1000;
const STORAGE = 'detjupyter:run-table';
const BAD_REQUEST = 400;

/** What changes the order of the rows, and not which runs there are. */
const ARRANGING: ReadonlySet<string> = new Set<keyof Query>(['sort', 'isDescending', 'toggled', 'group']);

type TableApi = Pick<Api, 'run' | 'table' | 'tableIds' | 'annotate' | 'deleteRuns' | 'sizeOfRuns'>;

export class RunTableModel implements IDisposable {
  /** `historyChanged` is emitted when a run has changed. */
  constructor(
    private readonly api: TableApi,
    private readonly historyChanged: ISignal<unknown, unknown>,
    query: Query = FIRST_QUERY
  ) {
    this._query = query;
    this.deletions = new Deletions(
      async runIds => {
        await api.deleteRuns(runIds);
        this.refresh();
      },
      () => this._changed.emit(),
      error => this.refuse(error)
    );
    historyChanged.connect(this.refreshSoon, this);
    this._rows = this.newRows();
  }

  readonly deletions: Deletions;

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get query(): Query {
    return this._query;
  }

  /** What the server last said about the whole table; null before its first answer. */
  get page(): RunPage | null {
    return this._page;
  }

  /** Why there are no rows, or no newer ones. */
  get error(): Error | null {
    return this._error;
  }

  /** Why the condition is not applied. The rows are those of the last one that was right. */
  get conditionError(): Error | null {
    return this._conditionError;
  }

  /** Why the last action was refused. */
  get refusal(): Error | null {
    return this._refusal;
  }

  get columns(): { all: Column[]; shown: Column[] } {
    return columnsOf(this._page, this._choice);
  }

  /** The columns that the values of the rows are of: those of a column that was just added come with the next rows. */
  get valueColumns(): readonly string[] {
    return this._valueColumns;
  }

  get selected(): ReadonlySet<string> {
    return this._selected;
  }

  at(index: number): Item | null {
    return this._rows.at(index);
  }

  /** Return the runs whose rows have come. */
  fetched(): RunRow[] {
    return this._rows.runs();
  }

  /** Have the rows from `first` up to `end` fetched, now and when others take their place. */
  want(first: number, end: number): void {
    this._wanted = [first, end];
    this._rows.want(first, end);
  }

  ask(change: Partial<Query>): void {
    this._query = { ...this._query, ...change };
    if (Object.keys(change).some(key => !ARRANGING.has(key))) {
      this._selected = new Set(); // nothing is deleted that the user no longer sees
    }
    this._conditionError = null;
    this.restart();
  }

  sortBy(column: string): void {
    const isSame = this._query.sort === column;
    this.ask({ sort: column, isDescending: isSame ? !this._query.isDescending : true });
  }

  toggleGroup(key: string): void {
    const { toggled } = this._query;
    this.ask({ toggled: toggled.includes(key) ? toggled.filter(one => one !== key) : [...toggled, key] });
  }

  showColumn(id: string, isShown: boolean): void {
    this._choice = withColumn(this._choice, id, isShown);
    remember(this._choice);
    this.restart();
  }

  resetColumns(): void {
    this._choice = NO_CHOICE;
    remember(this._choice);
    this.restart();
  }

  select(runIds: Iterable<string>): void {
    this._selected = new Set(runIds);
    this._refusal = null;
    this._changed.emit();
  }

  /** Say that rows were not selected, because they have not come yet. */
  refuseSelection(): void {
    this.refuse(
      new AnswerError(
        BAD_REQUEST,
        'Not all of these rows have come from the server yet.',
        'Scroll through them once, or select all that match with Ctrl+A.'
      )
    );
  }

  toggle(runId: string): void {
    const next = new Set(this._selected);
    if (!next.delete(runId)) {
      next.add(runId);
    }
    this.select(next);
  }

  async selectAll(): Promise<void> {
    await this.act(async () => this.select(await this.api.tableIds(toParameters(this._query))));
  }

  async annotate(runIds: readonly string[], annotation: Annotation): Promise<void> {
    await this.act(async () => {
      await this.api.annotate(runIds, annotation);
      this.refresh();
    });
  }

  /** Return a run with its whole note, which a row need not have; null if it cannot be read. */
  async read(runId: string): Promise<RunRecord | null> {
    let run: RunRecord | null = null;
    await this.act(async () => {
      run = await this.api.run(runId);
    });
    return run;
  }

  /** Delete runs, unless the user undoes it within ten seconds. */
  async delete(runIds: readonly string[]): Promise<void> {
    await this.act(async () => {
      const { live, size_bytes } = await this.api.sizeOfRuns(runIds);
      if (live > 0) {
        const what = live === 1 ? 'A run is' : `${live} runs are`;
        throw new AnswerError(BAD_REQUEST, `${what} running or paused.`, 'Stop the training first.');
      }
      this.select([]);
      this.deletions.add({ runIds, sizeBytes: size_bytes });
    });
  }

  /** Ask again: for the rows that are there, and for those that are to take their place. */
  refresh(): void {
    this._rows.refresh();
    if (this._next !== this._rows) {
      this._next.refresh();
    }
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._rows.isCurrent = false;
    this.historyChanged.disconnect(this.refreshSoon, this);
    this._refreshing.dispose();
    Signal.clearData(this);
  }

  private refreshSoon(): void {
    void this._refreshing.invoke();
  }

  private async act(action: () => Promise<void>): Promise<void> {
    this._refusal = null;
    try {
      await action();
    } catch (error) {
      this.refuse(error as Error);
    }
  }

  private refuse(error: Error): void {
    this._refusal = error;
    this._changed.emit();
  }

  private restart(): void {
    this._next.isCurrent = false;
    this._next = this.newRows();
    this._next.want(...this._wanted);
    this._changed.emit();
  }

  /** Return rows of the present query; they take the place of the others when the first of them come. */
  private newRows(): Rows {
    const columns = this.wantedColumns();
    const parameters = { ...toParameters(this._query), columns: JSON.stringify(columns) };
    const rows: Rows = new Rows(
      (offset, limit, etag) => this.api.table(parameters, offset, limit, etag),
      page => {
        if (rows !== this._rows) {
          this._rows.isCurrent = false;
          this._rows = rows;
          rows.want(...this._wanted); // the user may have scrolled since
        }
        this._valueColumns = columns;
        this._page = page ?? this._page;
        this._error = null;
        this._changed.emit();
        if (rows === this._next && this.wantedColumns().join('\n') !== columns.join('\n')) {
          this.restart(); // the page named columns that were not known before
        }
      },
      error => {
        const isCondition = error instanceof AnswerError && error.status === BAD_REQUEST;
        this._conditionError = isCondition ? error : null;
        this._error = isCondition ? this._error : error;
        this._changed.emit();
      }
    );
    this._next = rows;
    return rows;
  }

  /** Return the columns whose values the server is asked for. */
  private wantedColumns(): string[] {
    const fromValues = this.columns.shown.filter(
      ({ kind, id }) => kind !== 'own' || id === 'seed' || id === 'device'
    );
    return fromValues.map(({ id }) => id).slice(0, MOST_COLUMNS);
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _refreshing = new Throttler<void, void, []>(() => this.refresh(), REFRESH_EVERY_MS);
  private _query: Query;
  private _choice = remembered();
  private _selected: ReadonlySet<string> = new Set();
  private _page: RunPage | null = null;
  private _error: Error | null = null;
  private _conditionError: Error | null = null;
  private _refusal: Error | null = null;
  private _wanted: readonly [first: number, end: number] = [0, 1];
  private _valueColumns: readonly string[] = [];
  private _rows: Rows;
  private _next!: Rows;
  private _isDisposed = false;
}

function remember(choice: ColumnChoice): void {
  try {
    window.localStorage.setItem(STORAGE, JSON.stringify(choice));
  } catch {
    // no storage, or it is full: the columns are then those of this page only
  }
}

function remembered(): ColumnChoice {
  try {
    const found = JSON.parse(window.localStorage.getItem(STORAGE) ?? 'null') as Partial<ColumnChoice> | null;
    const { added, removed } = found ?? {};
    return Array.isArray(added) && Array.isArray(removed) ? { added, removed } : NO_CHOICE;
  } catch {
    return NO_CHOICE;
  }
}
