// @vitest-environment happy-dom
import type { ServerConnection } from '@jupyterlab/services';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { EndedTraining, KernelReply, LogLine, RunRecord, SeriesPatch } from '../protocol';
import { RUN_MIME_TYPE } from '../protocol';
import type { Api } from '../src/api';
import { AnswerError } from '../src/errors';
import { Feed, KernelQuestions } from '../src/output/feed';
import { referenceIn } from '../src/output/reference';
import { type News, RunModel } from '../src/output/run';
import { reply, run, session } from './records';

/** A WebSocket whose other end is the test. */
class Connection {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readyState: number = WebSocket.CONNECTING;
  readonly sent: unknown[] = [];

  constructor() {
    connections.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = WebSocket.CLOSED;
    this.onclose?.();
  }

  open(): void {
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const ID = '20261130-1';
const END: EndedTraining = {
  trainings: 1,
  state: 'finished',
  batches_trained: 3,
  records_trained: 6,
  plan_start_batches: 0,
  plan_target_batches: null,
  plan_elapsed_s: 1,
  elapsed_s: 2,
  error: null
};
const LINE: LogLine = { at: 1, stream: 'stdout', text: 'hello' };

let connections: Connection[];
let feed: Feed;
/** What the server answers. */
let record: RunRecord;
let kernel: KernelReply | Error;
let refusal: Error | null;
/** The kernel's answer, if it comes late. */
let waiting: Promise<KernelReply> | null;
let commands: string[];
let patches: readonly SeriesPatch[];
let models: RunModel[];

beforeEach(() => {
  connections = [];
  feed = new Feed({
    wsUrl: 'ws://localhost:8888/',
    WebSocket: Connection as unknown as typeof WebSocket
  } as ServerConnection.ISettings);
  models = [];
  kernel = new AnswerError(404, 'gone');
  refusal = waiting = null;
  commands = [];
  patches = [curve(0, [1, 2, 3, 4])];
});

afterEach(() => models.forEach(model => model.dispose()));

describe('a reference', () => {
  it.each([
    ['nothing', undefined],
    ['text', 'x'],
    ['another version', { version: 99, run_id: ID, ended: null }],
    ['a path as id', { version: 1, run_id: '../../x', ended: null }],
    ['a path to the directory above', { version: 1, run_id: '..', ended: null }],
    ['a path to the list of runs', { version: 1, run_id: '.', ended: null }],
    ['very long', { version: 1, run_id: 'x'.repeat(10_000_000), ended: null }],
    ['no id', { version: 1, ended: null }],
    ['with text as its end', { version: 1, run_id: ID, ended: 'x' }],
    ['with a list as its end', { version: 1, run_id: ID, ended: [1] }],
    ['with half of an end', { version: 1, run_id: ID, ended: { trainings: 1 } }],
    ['with text as a number', { version: 1, run_id: ID, ended: { ...END, batches_trained: '3' } }],
    ['with too large a number', { version: 1, run_id: ID, ended: { ...END, trainings: 1e308 } }],
    ['with an unknown state', { version: 1, run_id: ID, ended: { ...END, state: 'toString' } }],
    ['with text as an error', { version: 1, run_id: ID, ended: { ...END, error: 'boom' } }],
    ['with half of an error', { version: 1, run_id: ID, ended: { ...END, error: { message: 'boom' } } }],
    ['a list', [1]]
  ])('that is %s is refused', (_, data) => {
    expect(referenceIn({ [RUN_MIME_TYPE]: data })).toBeNull();
  });

  it('names its run', () => {
    const data = { [RUN_MIME_TYPE]: { version: 1, run_id: ID } };
    expect(referenceIn(data)).toEqual({ version: 1, run_id: ID, ended: null });
  });

  it.each([
    END,
    { ...END, error: { name: 'ValueError', message: 'no', traceback: '', hint: null }, elapsed_s: 'NaN' }
  ])('has the end of its training, and nothing else that is there', ended => {
    const more = { ...ended, run_id: 'other', device: {}, allowed: ['pause'] };
    const found = referenceIn({ [RUN_MIME_TYPE]: { version: 1, run_id: ID, ended: more } });
    expect(found).toEqual({ version: 1, run_id: ID, ended });
  });
});

describe('a run that is over', () => {
  it('is fetched once, without a connection', async () => {
    const { model, news } = await shown(over());
    expect(connections).toHaveLength(0);
    expect(points(news)).toEqual([1, 2, 3, 4]);
    expect(news.find(({ isWholeLog }) => isWholeLog)?.log).toEqual([LINE]);
    expect(model.session).toMatchObject({ state: 'finished', allowed: [] });
  });

  it('says so if it was interrupted', async () => {
    const { model } = await shown(over({ state: 'interrupted' }));
    expect(model.remark).toContain('interrupted');
    expect(model.session?.state).toBe('interrupted');
  });

  it('is shown up to the end of the training of its cell', async () => {
    const later = over({
      session: session({ run_id: ID, batches_trained: 4, trainings: 2, state: 'finished' })
    });
    const { model, news } = await shown(later, ended({ batches_trained: 2, state: 'stopped' }));
    expect(points(news)).toEqual([1, 2]);
    expect(model.session).toMatchObject({ state: 'stopped', batches_trained: 2, allowed: [] });
  });

  it('can be steered while its kernel holds the session', async () => {
    kernel = reply({ sessions: [session({ run_id: ID, state: 'finished', allowed: ['validate'] })] });
    const { model } = await shown(over());
    expect(model.session?.allowed).toEqual(['validate']);
    expect(connections).toHaveLength(1);
  });

  it('is not steered by a session of the same name with another run', async () => {
    kernel = reply({ sessions: [session({ run_id: 'other', state: 'running', allowed: ['stop'] })] });
    const { model } = await shown(over());
    expect(model.session).toMatchObject({ state: 'finished', allowed: [] });
  });
});

describe('a live run', () => {
  it('is followed to its end, and then the connection is closed', async () => {
    kernel = reply({ sessions: [live()] });
    const { model, news } = await shown(run({ id: ID, session: live() }));
    const connection = connections[0]!;
    connection.open();
    await settled();
    const number = watched(connection);
    connection.say({ kind: 'series', run_id: ID, patches: [curve(0, [1, 2])], number });
    connection.say({ kind: 'log', run_id: ID, lines: [LINE], number });
    expect(points(news)).toEqual([1, 2]);
    expect(news.at(-1)?.log).toEqual([LINE]);
    expect(model.session?.state).toBe('running');

    kernel = new AnswerError(404, 'gone');
    connection.say({ kind: 'runs', runs: [over()] });
    await settled();
    expect(model.session).toMatchObject({ state: 'finished', allowed: [] });
    expect(connection.readyState).toBe(WebSocket.CLOSED);
    expect(points(news)).toEqual([1, 2, 3, 4]); // with the last points
  });

  it('can be steered before its kernel has answered', async () => {
    let answer: (reply: KernelReply) => void = () => undefined;
    kernel = reply({ sessions: [live()] });
    waiting = new Promise(resolve => (answer = resolve));
    const { model } = await shown(run({ id: ID, session: live() }));
    expect(model.session?.allowed).toEqual(['pause', 'stop']);
    const sent = model.send({ kind: 'pause' });
    await settled();
    expect(commands).toEqual([]);
    answer(kernel);
    expect(await sent).toBeNull();
    expect(commands).toEqual(['pause']);
  });

  it('asks for everything again when points in between never came', async () => {
    kernel = reply({ sessions: [live()] });
    const { news } = await shown(run({ id: ID, session: live() }));
    const connection = connections[0]!;
    connection.open();
    await settled();
    const before = watched(connection);
    connection.say({ kind: 'series', run_id: ID, patches: [curve(7, [8])], number: before });
    expect(watched(connection)).not.toBe(before);
    connection.say({ kind: 'log', run_id: ID, lines: [LINE], number: before }); // under way
    expect(news.flatMap(({ log }) => log)).toEqual([]);
  });

  it('keeps what it shows when the server goes away, and says so', async () => {
    kernel = reply({ sessions: [live()] });
    const { model } = await shown(run({ id: ID, session: live() }));
    connections[0]!.open();
    await settled();
    expect(model.remark).toBe('');
    connections[0]!.close();
    expect(model.remark).toContain('cannot be reached');
  });

  it('is said to be deleted', async () => {
    kernel = reply({ sessions: [live()] });
    const { model } = await shown(run({ id: ID, session: live() }));
    connections[0]!.open();
    connections[0]!.say({ kind: 'runs_removed', run_ids: ['other'] });
    expect(model.remark).toBe('');
    connections[0]!.say({ kind: 'runs_removed', run_ids: [ID] });
    expect(model.remark).toContain('deleted');
  });

  it('stays at its end when the next training of the run begins', async () => {
    kernel = reply({ sessions: [live()] });
    const { model } = await shown(run({ id: ID, session: live() }));
    connections[0]!.open();
    await settled();
    const later = live({ trainings: 2, batches_trained: 9 });
    kernel = reply({ sessions: [later] });
    model.end(ended({ batches_trained: 2, state: 'finished' }));
    connections[0]!.say({
      kind: 'runs',
      runs: [over({ state: 'running', session: later })]
    });
    await settled();
    expect(model.session).toMatchObject({ state: 'finished', batches_trained: 2, allowed: [] });
  });
});

it('a refused command gives the reason and the next step', async () => {
  kernel = reply({ sessions: [live({ allowed: ['stop'] })] });
  const { model } = await shown(run({ id: ID, session: live() }));
  refusal = new AnswerError(409, 'Not now.', 'Wait.');
  expect(await model.send({ kind: 'stop' })).toBe('Not now.\nWait.');
  refusal = null;
  expect(await model.send({ kind: 'stop' })).toBeNull();
});

it('a run that is begun again keeps its connection', async () => {
  const { model } = await shown(run({ id: ID, session: live() }));
  expect(connections).toHaveLength(1);
  await model.begin();
  await settled();
  expect(connections).toHaveLength(1);
});

it('all runs share one connection, which ends with the last of them', async () => {
  kernel = reply({ sessions: [live()] });
  await shown(run({ id: ID, session: live() }));
  connections[0]!.open();
  const { model } = await shown(run({ id: ID, session: live() }));
  expect(connections).toHaveLength(1);
  const numbers = connections[0]!.sent.map(sent => (sent as { number?: number }).number);
  expect(new Set(numbers.filter(number => number !== undefined)).size).toBe(2);
  models[0]!.dispose();
  expect(connections[0]!.sent.at(-1)).toMatchObject({ kind: 'watch', run_id: null });
  expect(connections[0]!.readyState).toBe(WebSocket.OPEN);
  model.dispose();
  expect(connections[0]!.readyState).toBe(WebSocket.CLOSED);
});

it('a run that joins an open connection learns what has changed in between', async () => {
  kernel = reply({ sessions: [live()] });
  await shown(run({ id: ID, session: live() }));
  connections[0]!.open();
  await settled();
  record = run({ id: ID, session: live() });
  const model = modelOf(null);
  const begun = model.begin();
  record = over();
  kernel = new AnswerError(404, 'gone');
  await begun;
  await settled();
  expect(model.session?.state).toBe('finished');
});

it('a session that only says that it is alive changes nothing', async () => {
  kernel = reply({ sessions: [live()] });
  const { news } = await shown(run({ id: ID, session: live() }));
  connections[0]!.open();
  await settled();
  const before = news.length;
  connections[0]!.say({ kind: 'runs', runs: [{ ...record, updated_at: 99 }] });
  expect(news).toHaveLength(before);
  connections[0]!.say({ kind: 'runs', runs: [{ ...record, updated_at: 99, batches_trained: 5 }] });
  expect(news.length).toBeGreaterThan(before);
});

it('outputs that ask a kernel at the same time share one question, and none is older than its asker', async () => {
  const answered: Array<(reply: KernelReply) => void> = [];
  const questions = new KernelQuestions({ kernel: () => new Promise(resolve => answered.push(resolve)) });
  const first = [questions.ask('k'), questions.ask('k')];
  await settled();
  const second = [questions.ask('k'), questions.ask('k')];
  await settled();
  expect(answered).toHaveLength(1);
  const older = reply({ sessions: [] });
  answered[0]!(older);
  expect(await Promise.all(first)).toEqual([older, older]);
  await settled();
  expect(answered).toHaveLength(2);
  answered[1]!(reply({ sessions: [live()] }));
  expect((await Promise.all(second)).map(({ sessions }) => sessions.length)).toEqual([1, 1]);
});

it('a run that the server does not have is an error', async () => {
  const model = modelOf(null);
  record = null as unknown as RunRecord;
  await expect(model.begin()).rejects.toThrow('No run');
});

function modelOf(end: EndedTraining | null): RunModel {
  const api: Partial<Api> = {
    run: () => (record === null ? Promise.reject(new AnswerError(404, 'No run')) : Promise.resolve(record)),
    series: () => Promise.resolve(patches),
    log: () => Promise.resolve([LINE]),
    kernel: () => waiting ?? (kernel instanceof Error ? Promise.reject(kernel) : Promise.resolve(kernel)),
    command: (_, __, { kind }) => {
      commands.push(kind);
      return refusal === null ? Promise.resolve(kernel as KernelReply) : Promise.reject(refusal);
    }
  };
  const asked = api as Api;
  const model = new RunModel(asked, feed, new KernelQuestions(asked), {
    version: 1,
    run_id: ID,
    ended: end
  });
  models.push(model);
  return model;
}

async function shown(
  answer: RunRecord,
  end: EndedTraining | null = null
): Promise<{ model: RunModel; news: News[] }> {
  record = answer;
  const model = modelOf(end);
  const news: News[] = [];
  model.news.connect((_, one) => news.push(one));
  await model.begin();
  await settled();
  return { model, news };
}

function over(fields: Partial<RunRecord> = {}): RunRecord {
  const last = session({
    run_id: ID,
    batches_trained: 4,
    trainings: 1,
    state: 'finished',
    allowed: ['validate']
  });
  return run({ id: ID, state: 'finished', batches_trained: 4, session: last, ...fields });
}

function live(fields: Parameters<typeof session>[0] = {}): ReturnType<typeof session> {
  return session({
    run_id: ID,
    state: 'running',
    allowed: ['pause', 'stop'],
    trainings: 1,
    has_training: true,
    ...fields
  });
}

function ended(fields: Partial<EndedTraining>): EndedTraining {
  return {
    trainings: 1,
    state: 'finished',
    batches_trained: 4,
    records_trained: 4,
    plan_start_batches: 0,
    plan_target_batches: 4,
    plan_elapsed_s: 1,
    elapsed_s: 1,
    error: null,
    ...fields
  };
}

function curve(start: number, batches: number[]): SeriesPatch {
  return { group: 'training', name: 'loss', start, batches, values: batches.map(batch => 1 / batch) };
}

/** The batches of the curve that the news draw. */
function points(news: readonly News[]): number[] {
  const drawn: number[] = [];
  for (const { start, batches } of news.flatMap(one => one.patches)) {
    drawn.splice(start, drawn.length, ...Array.from(batches));
  }
  return drawn;
}

/** The number under which the run is watched. */
function watched(connection: Connection): number | undefined {
  const watches = connection.sent as Array<{ kind: string; run_id: string | null; number: number }>;
  return watches.findLast(sent => sent.kind === 'watch' && sent.run_id === ID)?.number;
}

async function settled(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 20));
}
