import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { DefinitionRecord, DeterminedRecord } from '../protocol';
import { AnswerError, UnreachableError } from '../src/errors';
import { DefinitionModel } from '../src/model/definition';
import { definition } from './records';

type Listing = { record: DefinitionRecord; etag: string | null } | null;

/** A scan that the server is busy with. */
interface Scan {
  path: string;
  anySize: boolean;
  signal: AbortSignal;
  found: (count: number) => void;
  answer: (listing: Listing) => Promise<void>;
  refuse: (error: Error) => Promise<void>;
}

const NONE: DeterminedRecord = { path: 'digits', paths: [], ships: [], counts: [], total: 0, problems: [] };
const FILES: Listing = { record: definition({ 'model_def.py': 100 }), etag: '"1"' };

let scans: Scan[];
let model: DefinitionModel;

beforeEach(() => {
  vi.useFakeTimers();
  scans = [];
  model = new DefinitionModel({
    definition: (path, { anySize, signal, onProgress }) =>
      new Promise((resolve, reject) => {
        scans.push({
          path,
          anySize,
          signal,
          found: count => onProgress?.(count),
          answer: async listing => {
            resolve(listing);
            await vi.advanceTimersByTimeAsync(0);
          },
          refuse: async error => {
            reject(error);
            await vi.advanceTimersByTimeAsync(0);
          }
        });
      }),
    determined: () => Promise.resolve(NONE)
  });
  model.setVisible(true);
});

afterEach(() => {
  model.dispose();
  vi.useRealTimers();
});

describe('a scan', () => {
  it('that takes no longer than a moment says nothing of itself', async () => {
    model.follow('digits');
    await vi.advanceTimersByTimeAsync(900);
    expect(model.status).toEqual({ kind: 'idle' });
    await scans[0]!.answer(FILES);
    await vi.advanceTimersByTimeAsync(5000);
    expect([model.status.kind, model.record?.name]).toEqual(['idle', 'digits']);
  });

  it('that takes longer says how far it is, by either way that the server has to say so', async () => {
    model.follow('digits');
    await vi.advanceTimersByTimeAsync(1100);
    scans[0]!.found(500);
    expect(model.status).toEqual({ kind: 'slow', found: 500 });
    model.setFound('digits', 900);
    model.setFound('another', 7);
    expect(model.status).toEqual({ kind: 'slow', found: 900 });
    await scans[0]!.answer(FILES);
    expect(model.status).toEqual({ kind: 'idle' });
  });

  it('that was stopped is stopped on the server, and begins again only when the user says so', async () => {
    model.follow('digits');
    await vi.advanceTimersByTimeAsync(1100);
    model.stop();
    expect([model.status.kind, scans[0]!.signal.aborted]).toEqual(['stopped', true]);
    model.refreshSoon();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(scans).toHaveLength(1);
    void model.refresh();
    await scans[1]!.answer(FILES);
    expect(model.status.kind).toBe('idle');
  });

  it('of very many paths begins again when they are meant', async () => {
    model.follow('digits');
    await scans[0]!.refuse(new AnswerError(413, 'This directory holds more than 200,000 entries.'));
    expect(model.status.kind).toBe('too-large');
    model.refreshSoon();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(scans).toHaveLength(1);
    model.scanAnyway();
    expect(scans[1]!.anySize).toBe(true);
  });

  it('that failed keeps the known files on display, with the error, until a scan works again', async () => {
    model.follow('digits');
    await scans[0]!.answer(FILES);
    void model.refresh();
    await scans[1]!.refuse(new UnreachableError());
    expect([model.status.kind, model.record?.name]).toEqual(['failed', 'digits']);
    void model.refresh();
    expect(model.status.kind).toBe('failed');
    await scans[2]!.answer(null);
    expect([model.status.kind, model.record?.name]).toEqual(['idle', 'digits']);
  });

  it('of another definition is not mixed up with that of the one before', async () => {
    model.follow('digits');
    model.follow('letters');
    expect(scans[0]!.signal.aborted).toBe(true);
    await scans[1]!.answer({ record: { ...definition({}), name: 'letters' }, etag: null });
    await scans[0]!.answer(FILES);
    expect(model.record?.name).toBe('letters');
  });

  it('is not made while the files are hidden', () => {
    model.setVisible(false);
    model.follow('digits');
    expect([scans.length, model.watchedPath]).toEqual([0, null]);
    model.setVisible(true);
    expect([scans.length, model.watchedPath]).toEqual([1, 'digits']);
  });
});

describe('edits', () => {
  it('that come in a bunch lead to one scan', async () => {
    model.follow('digits');
    await scans[0]!.answer(FILES);
    for (let count = 0; count < 10; count += 1) {
      model.refreshSoon();
      await vi.advanceTimersByTimeAsync(10);
    }
    await vi.advanceTimersByTimeAsync(1000);
    expect(scans).toHaveLength(2);
  });

  it('during a scan lead to another one: it may have passed them', async () => {
    model.follow('digits');
    model.refreshSoon();
    await vi.advanceTimersByTimeAsync(500);
    expect(scans).toHaveLength(1);
    await scans[0]!.answer(FILES);
    await vi.advanceTimersByTimeAsync(5000);
    expect(scans).toHaveLength(2);
  });

  it('wait longer where the last scan took long', async () => {
    model.follow('digits');
    await vi.advanceTimersByTimeAsync(3000);
    await scans[0]!.answer(FILES);
    model.refreshSoon();
    await vi.advanceTimersByTimeAsync(2900);
    expect(scans).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(500);
    expect(scans).toHaveLength(2);
  });

  it('are looked for when the window gets the focus, unless the server reports them', async () => {
    model.follow('digits');
    await scans[0]!.answer(FILES);
    model.setWatched(true);
    model.focused();
    await vi.advanceTimersByTimeAsync(5000);
    expect(scans).toHaveLength(1);
    model.setWatched(false);
    model.focused();
    await vi.advanceTimersByTimeAsync(5000);
    expect(scans).toHaveLength(2);
  });
});

describe('a watch that has failed', () => {
  it('says why until the server can watch again, or the definition is another one', () => {
    const failure = new Error('Edits on disk are not noticed: No space left on device.');
    let changes = 0;
    model.follow('digits');
    model.changed.connect(() => (changes += 1));
    model.setWatched(false, failure);
    expect([model.watchFailure, changes]).toEqual([failure, 1]);
    model.setWatched(true);
    expect([model.watchFailure, changes]).toEqual([null, 2]);
    model.setWatched(true);
    expect(changes).toBe(2);
    model.setWatched(false, failure);
    model.follow('other');
    expect(model.watchFailure).toBeNull();
  });
});

it('a file belongs to the definition that it is in, not to one with a similar name', () => {
  model.follow('digits');
  expect([model.holds('digits/a.py'), model.holds('digits'), model.holds('digits2/a.py')]).toEqual([
    true,
    true,
    false
  ]);
  model.follow('');
  expect(model.holds('anything.py')).toBe(true);
});
