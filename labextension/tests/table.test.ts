/** The table of runs: its columns, its blocks of rows, and deletions that can be undone. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Signal } from '@lumino/signaling';

import type { RunGroup, RunPage, RunRow } from '../protocol';
import { groupTitle, kernelOf } from '../src/table/groups';
import { Deletions, UNDO_MS } from '../src/table/deletions';
import { RunTableModel } from '../src/table/model';
import { columnsOf, FIRST_QUERY, NO_CHOICE, toPlace, withColumn } from '../src/table/query';
import { BLOCK_ROWS, type Fetch, Rows } from '../src/table/rows';

const NAMES = {
  hyperparameters: ['lr', 'width', 'hparam.seed', 'a', 'b', 'c', 'd', 'e', 'f'],
  differing: ['lr', 'hparam.seed', 'a', 'b', 'c', 'd', 'e'],
  metrics: ['training.loss', 'validation.loss', 'validation.accuracy', 'training.accuracy']
};

describe('the values of rows', () => {
  /** What the server answers: each value is the name of its column. */
  function answer(columns: string): { page: RunPage; etag: null } {
    const row = { kind: 'run', id: 'r', values: JSON.parse(columns) as string[] } as unknown as RunRow;
    return { page: { ...NAMES, offset: 0, rows: 1, items: [row] } as unknown as RunPage, etag: null };
  }

  function modelOf(table: (columns: string) => Promise<ReturnType<typeof answer>>): RunTableModel {
    const api = { table: ({ columns }: Record<string, string>) => table(columns!) };
    return new RunTableModel(
      api as unknown as ConstructorParameters<typeof RunTableModel>[0],
      new Signal<unknown, void>({})
    );
  }

  const valuesOf = (model: RunTableModel): unknown => (model.at(0) as RunRow | null)?.values;
  const settled = (): Promise<void> => new Promise(resolve => setTimeout(resolve));

  it('stay below their own columns until those of other columns come, also if these fail at first', async () => {
    let isDown = false;
    const model = modelOf(columns =>
      isDown ? Promise.reject(new Error('down')) : Promise.resolve(answer(columns))
    );
    model.want(0, 1);
    await settled();
    expect(valuesOf(model)).toEqual(model.valueColumns);
    expect(model.valueColumns).toContain('lr');
    isDown = true;
    model.showColumn('lr', false);
    expect(valuesOf(model)).toEqual(model.valueColumns);
    await settled();
    expect(model.error).toEqual(new Error('down'));
    expect(valuesOf(model)).toEqual(model.valueColumns);
    isDown = false;
    model.refresh();
    await settled();
    expect(valuesOf(model)).toEqual(model.valueColumns);
    expect(model.valueColumns).not.toContain('lr');
    model.dispose();
  });

  it('come for the rows in view when the columns change', async () => {
    const model = modelOf(columns => Promise.resolve(answer(columns)));
    model.want(0, 1);
    await settled();
    model.want(500, 530);
    await settled();
    model.showColumn('lr', false);
    await settled();
    expect((model.at(500) as RunRow | null)?.values).toEqual(model.valueColumns);
    model.dispose();
  });
});

describe('the selection', () => {
  const page = { ...NAMES, offset: 0, rows: 0, items: [] } as unknown as RunPage;
  const model = new RunTableModel(
    {
      table: () => Promise.resolve({ page, etag: null })
    } as unknown as ConstructorParameters<typeof RunTableModel>[0],
    new Signal<unknown, void>({})
  );

  it('stays when the rows are arranged in another way', () => {
    model.select(['a', 'b']);
    model.sortBy('lr');
    model.toggleGroup('code:x');
    model.ask({ group: 'code' });
    expect([...model.selected]).toEqual(['a', 'b']);
  });

  it.each([{ text: 'x' }, { where: 'lr > 1' }, { includeArchived: true }])(
    'ends when other runs are asked for: %o',
    change => {
      model.select(['a', 'b']);
      model.ask(change);
      expect(model.selected.size).toBe(0);
    }
  );

  it('of rows that have not come is refused', () => {
    model.refuseSelection();
    expect(model.refusal?.message).toContain('have come');
    model.select(['a']);
    expect(model.refusal).toBeNull();
  });
});

describe('columns', () => {
  const shown = (choice = NO_CHOICE): string[] => columnsOf(NAMES, choice).shown.map(({ id }) => id);

  it('are at first what differs, up to six, and up to three metrics, those of validations first', () => {
    expect(shown()).toEqual([
      ...['state', 'name', 'definition', 'lr', 'hparam.seed', 'a', 'b', 'c', 'd', 'best'],
      ...['validation.loss', 'validation.accuracy', 'training.loss'],
      ...['batches', 'duration', 'started', 'tags', 'note']
    ]);
  });

  it('are chosen; those that identify a run stay', () => {
    let choice = withColumn(NO_CHOICE, 'width', true);
    choice = withColumn(choice, 'lr', false);
    choice = withColumn(choice, 'name', false);
    expect(shown(choice)).toContain('width');
    expect(shown(choice)).toContain('name');
    expect(shown(choice)).not.toContain('lr');
    expect(shown(withColumn(choice, 'lr', true))).toContain('lr');
  });

  it('have short labels', () => {
    const labels = new Map(columnsOf(NAMES, NO_CHOICE).all.map(({ id, label }) => [id, label]));
    expect(labels.get('hparam.seed')).toBe('seed');
    expect(labels.get('validation.loss')).toBe('loss');
    expect(labels.get('training.loss')).toBe('loss (training)');
  });
});

describe('rows', () => {
  function page(offset: number, name = ''): RunPage {
    const items = Array.from({ length: BLOCK_ROWS }, (_, row) => ({
      kind: 'group' as const,
      by: 'code',
      value: `${offset + row}${name}`,
      count: 1,
      is_open: true
    }));
    return {
      runs: 9,
      archived: 0,
      matching: 9,
      rows: 1000,
      offset,
      items,
      hyperparameters: [],
      differing: [],
      metrics: []
    };
  }
  const settle = (): Promise<void> => new Promise(done => setTimeout(done));

  it('are fetched in blocks, each once', async () => {
    const fetch = vi.fn<Fetch>(offset => Promise.resolve({ page: page(offset), etag: `"${offset}"` }));
    const changed = vi.fn();
    const rows = new Rows(fetch, changed, vi.fn());
    rows.want(90, 120);
    rows.want(95, 130);
    await settle();
    expect(fetch.mock.calls.map(([offset]) => offset)).toEqual([0, 100]);
    expect(changed).toHaveBeenCalledTimes(2);
    expect(rows.at(105)).toMatchObject({ value: '105' });
    expect(rows.at(250)).toBeNull();
  });

  it('stay while newer ones are fetched, and when nothing has changed', async () => {
    let answer: Awaited<ReturnType<Fetch>> = { page: page(0), etag: '"1"' };
    const etags: (string | null)[] = [];
    const rows = new Rows(
      (_offset, _limit, etag) => {
        etags.push(etag);
        return Promise.resolve(answer);
      },
      vi.fn(),
      vi.fn()
    );
    rows.want(0, 10);
    await settle();
    answer = null;
    rows.refresh();
    expect(rows.at(3)).toMatchObject({ value: '3' });
    await settle();
    expect(rows.at(3)).toMatchObject({ value: '3' });
    expect(etags).toEqual([null, '"1"']);
    answer = { page: page(0, ' new'), etag: '"2"' };
    rows.refresh();
    await settle();
    expect(rows.at(3)).toMatchObject({ value: '3 new' });
  });

  it('that come late are ignored', async () => {
    let finish: (name: string) => void = () => undefined;
    const rows = new Rows(
      offset =>
        new Promise(resolve => {
          finish = name => resolve({ page: page(offset, name), etag: null });
        }),
      vi.fn(),
      vi.fn()
    );
    rows.want(0, 1);
    const finishFirst = finish;
    rows.refresh();
    finish(' second');
    await settle();
    finishFirst(' first');
    await settle();
    expect(rows.at(0)).toMatchObject({ value: '0 second' });
  });

  it('say why they do not come', async () => {
    const failed = vi.fn();
    const rows = new Rows(() => Promise.reject(new Error('no')), vi.fn(), failed);
    rows.want(0, 1);
    await settle();
    expect(failed).toHaveBeenCalledWith(new Error('no'));
  });
});

describe('the saved place of the tab', () => {
  it('is restored, and what another version has saved is as it is at first', () => {
    const query = { ...FIRST_QUERY, text: 'x', sort: 'lr', isDescending: false, group: 'code' as const };
    expect(toPlace({ query: { ...query, toggled: ['code:a'] }, compared: ['a', 'b'] })).toEqual({
      query: { ...query, toggled: ['code:a'] },
      compared: ['a', 'b']
    });
    const first = { query: FIRST_QUERY, compared: null };
    expect(toPlace({})).toEqual(first);
    expect(toPlace({ query: { text: 3, group: 'kernel', toggled: 'x' }, compared: 'a' })).toEqual(first);
  });
});

describe('groups by notebook', () => {
  const group = (value: string): RunGroup => ({
    kind: 'group',
    by: 'notebook',
    value,
    count: 2,
    is_open: true
  });

  it('have the name of the file and of its folder', () => {
    expect(groupTitle(group('/home/ada/digits/train.ipynb'))).toBe('train.ipynb · digits');
    expect(groupTitle(group('kernel:0123456789'))).toBe('Kernel 01234567, of an unknown notebook');
    expect(groupTitle(group(''))).toBe('Without a notebook');
  });

  it('of an unknown notebook name the kernel', () => {
    expect(kernelOf('kernel:0123')).toBe('0123');
    expect(kernelOf('/kernel:/x.ipynb')).toBeNull();
  });
});

describe('a deletion', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('window', globalThis);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('waits for ten seconds', async () => {
    const remove = vi.fn(() => Promise.resolve());
    const deletions = new Deletions(remove, vi.fn(), vi.fn());
    deletions.add({ runIds: ['a', 'b'], sizeBytes: 5 });
    expect(deletions.has('b')).toBe(true);
    await vi.advanceTimersByTimeAsync(UNDO_MS - 1);
    expect(remove).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(remove).toHaveBeenCalledWith(['a', 'b']);
    expect(deletions.pending).toEqual([]);
  });

  it('is undone', async () => {
    const remove = vi.fn(() => Promise.resolve());
    const deletions = new Deletions(remove, vi.fn(), vi.fn());
    deletions.add({ runIds: ['a'], sizeBytes: 5 });
    deletions.add({ runIds: ['b'], sizeBytes: 5 });
    deletions.undo(deletions.pending[0]!);
    await vi.advanceTimersByTimeAsync(2 * UNDO_MS);
    expect(remove.mock.calls).toEqual([[['b']]]);
  });

  it('cannot be undone once it has begun', async () => {
    let finish = (): void => undefined;
    const deletions = new Deletions(() => new Promise(resolve => (finish = resolve)), vi.fn(), vi.fn());
    deletions.add({ runIds: ['a'], sizeBytes: 5 });
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(deletions.pending).toEqual([]);
    expect(deletions.has('a')).toBe(true);
    finish();
    await vi.advanceTimersByTimeAsync(0);
    expect(deletions.has('a')).toBe(false);
  });

  it('that the server refuses leaves the runs', async () => {
    const failed = vi.fn();
    const deletions = new Deletions(() => Promise.reject(new Error('running')), vi.fn(), failed);
    deletions.add({ runIds: ['a'], sizeBytes: 0 });
    await vi.advanceTimersByTimeAsync(UNDO_MS);
    expect(failed).toHaveBeenCalledWith(new Error('running'));
    expect(deletions.has('a')).toBe(false);
  });
});
