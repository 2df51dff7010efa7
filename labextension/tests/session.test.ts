import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Command, CommandKind, KernelReply, RunRecord } from '../protocol';
import { AnswerError, UnreachableError } from '../src/errors';
import { RunsModel } from '../src/model/runs';
import { SessionModel } from '../src/model/session';
import { card, reply, run, session } from './records';

/** A question that waits for its answer. */
interface Question {
  what: 'kernel' | CommandKind;
  kernelId: string;
  answer: (reply: KernelReply) => Promise<void>;
  refuse: (error: Error) => Promise<void>;
}

/** The server: keeps every question until the test answers it. */
class Server {
  readonly questions: Question[] = [];
  /** The sessions that commands were sent to. */
  readonly sentTo: (string | null)[] = [];

  kernel(kernelId: string): Promise<KernelReply> {
    return this.ask('kernel', kernelId);
  }

  command(kernelId: string, sessionId: string | null, { kind }: Command): Promise<KernelReply> {
    this.sentTo.push(sessionId);
    return this.ask(kind, kernelId);
  }

  runs(): Promise<readonly RunRecord[]> {
    return Promise.resolve([]);
  }

  deleteRun(): Promise<void> {
    return Promise.resolve();
  }

  /** Return the question asked last that waits for its answer. */
  get last(): Question {
    return this.questions.at(-1)!;
  }

  private ask(what: Question['what'], kernelId: string): Promise<KernelReply> {
    return new Promise((resolve, reject) => {
      this.questions.push({
        what,
        kernelId,
        answer: async answer => {
          resolve(answer);
          await settled();
        },
        refuse: async error => {
          reject(error);
          await settled();
        }
      });
    });
  }
}

/** Wait until everything that an answer set off has happened. */
async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

const ALL: readonly CommandKind[] = ['pause', 'step', 'stop', 'validate', 'checkpoint', 'reload'];
const held = session({
  state: 'running',
  activity: 'training',
  allowed: ALL,
  run_id: 'run-1',
  batches_trained: 10
});

let server: Server;
let runs: RunsModel;
let model: SessionModel;

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
  runs = new RunsModel(server);
  model = new SessionModel(server, runs);
});

afterEach(() => {
  model.dispose();
  vi.useRealTimers();
});

/** Follow a kernel that holds a session. */
async function follow(kernelId = 'kernel-1', answer = reply({ sessions: [held] })): Promise<void> {
  model.follow(kernelId, { ask: true });
  await server.last.answer(answer);
}

function trained(batches: number): KernelReply {
  return reply({ sessions: [{ ...held, batches_trained: batches }] });
}

/** Answer a command as a kernel does that has not ended it in time. */
async function accept(ticket: number): Promise<void> {
  await server.last.answer(reply({ sessions: [held], accepted: true, ticket }));
}

/** The kinds of the commands that have not ended. */
function underWay(): readonly CommandKind[] {
  return model.underWay.map(({ kind }) => kind);
}

function shown(): number | undefined {
  return model.current?.session.batches_trained;
}

describe('a kernel', () => {
  it('that has not answered is unknown, then ready or failed; without one there is nothing to ask', async () => {
    expect(model.state).toBe('none');
    model.follow('kernel-1', { ask: true });
    expect(model.state).toBe('unknown');
    await server.last.refuse(new UnreachableError());
    expect([model.state, model.error?.message]).toEqual(['failed', 'The Jupyter server cannot be reached.']);
    const again = model.refresh();
    await server.last.answer(reply({ sessions: [held] }));
    await again;
    expect([model.state, model.error, model.card?.class_name]).toEqual(['ready', null, 'DigitsTrial']);
  });

  it('of a notebook that never names detjupyter is not asked', () => {
    model.follow('kernel-1', { ask: false });
    expect([server.questions.length, model.state, model.loaded, model.asked]).toEqual([
      0,
      'ready',
      false,
      false
    ]);
  });

  it('that is silent keeps what it had loaded on display; one that is gone does not', async () => {
    await follow();
    void model.refresh();
    await server.last.refuse(new AnswerError(504, 'The kernel did not answer.'));
    expect(shown()).toBe(10);
    void model.refresh();
    await server.last.refuse(new AnswerError(404, 'There is no such kernel.'));
    expect(model.current).toBeNull();
  });

  it('that imports a framework is asked again after a cell, unless it has answered', async () => {
    await follow('kernel-1', reply({ loaded: false, sessions: [], cards: [] }));
    const before = server.questions.length;
    void model.refreshAfterCell();
    await server.last.answer(reply({ loaded: false, sessions: [], cards: [] }));
    await vi.advanceTimersByTimeAsync(2600);
    expect(server.questions.length).toBe(before + 2);
    await server.last.answer(trained(1));
    void model.refreshAfterCell();
    await server.last.answer(trained(2));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(server.questions.length).toBe(before + 3);
  });
});

describe('answers that overtake each other', () => {
  it('leave the newest question the right one', async () => {
    await follow();
    void model.refresh();
    const older = server.last;
    void model.refresh();
    await server.last.answer(trained(30));
    await older.answer(trained(20));
    expect(shown()).toBe(30);
  });

  it('leave of a command its refusal, though a later question was answered first', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    const command = server.last;
    void model.refresh();
    await server.last.answer(trained(30));
    await command.refuse(new AnswerError(409, 'The session is closed.'));
    expect([shown(), model.refusal?.command.kind, model.refusal?.error.message]).toEqual([
      30,
      'validate',
      'The session is closed.'
    ]);
  });

  it('leave of a command nothing else, if a later question was answered first', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    const command = server.last;
    void model.refresh();
    await server.last.answer(trained(30));
    await command.answer(trained(20));
    expect(shown()).toBe(30);
  });

  it('of two commands leave the one that was sent last on its way', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    const first = server.last;
    void model.send({ kind: 'pause' });
    await first.answer(trained(11));
    expect(underWay()).toEqual(['pause']);
    await server.last.answer(trained(12));
    expect([underWay(), shown()]).toEqual([[], 12]);
  });
});

describe('a command', () => {
  it('is sent only if the session takes it', async () => {
    await follow('kernel-1', reply({ sessions: [{ ...held, allowed: ['pause'] }] }));
    const before = server.questions.length;
    await model.send({ kind: 'resume' });
    expect(server.questions.length).toBe(before);
    void model.send({ kind: 'pause' });
    expect([server.last.what, underWay()]).toEqual(['pause', ['pause']]);
  });

  it('that was refused says so until another one is accepted', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    await server.last.refuse(new AnswerError(409, 'No.'));
    expect([model.refusal?.error.message, underWay()]).toEqual(['No.', []]);
    void model.send({ kind: 'pause' });
    await server.last.answer(trained(11));
    expect(model.refusal).toBeNull();
  });

  it('is forgotten with its kernel: its answer is not about the next one', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    const command = server.last;
    await follow('kernel-2', trained(5));
    await command.refuse(new AnswerError(409, 'No.'));
    expect([model.refusal, underWay(), shown()]).toEqual([null, [], 5]);
  });

  it('is forgotten with its process, though the kernel that was restarted has the same id', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    const command = server.last;
    model.forget();
    await command.refuse(new AnswerError(410, 'The kernel died.'));
    expect([model.refusal, underWay(), model.state]).toEqual([null, [], 'unknown']);
  });
});

describe('a command that the kernel accepts before it has ended', () => {
  it('is under way until the kernel says how it ended, and no second one that replaces the state is offered', async () => {
    await follow();
    const sent = model.send({ kind: 'reload' });
    await accept(7);
    expect([underWay(), model.can('reload'), model.can('pause')]).toEqual([['reload'], false, true]);
    await vi.advanceTimersByTimeAsync(600);
    await server.last.answer(
      reply({ sessions: [held], outcomes: [{ ticket: 6, error: 'Of another page.', hint: null }] })
    );
    expect(underWay()).toEqual(['reload']);
    await vi.advanceTimersByTimeAsync(700);
    const outcomes = [{ ticket: 7, error: null, hint: null }];
    await server.last.answer(reply({ sessions: [held], cards: [card({ loaded_at: 2 })], outcomes }));
    expect([underWay(), model.can('reload'), model.card?.loaded_at, await sent]).toEqual([[], true, 2, true]);
  });

  it('and that failed later says so with its hint', async () => {
    await follow();
    const sent = model.send({ kind: 'checkpoint' });
    await accept(1);
    await vi.advanceTimersByTimeAsync(600);
    const outcomes = [{ ticket: 1, error: 'The disk is full.', hint: 'Free some space.' }];
    await server.last.answer(reply({ sessions: [held], outcomes }));
    expect([underWay(), await sent]).toEqual([[], false]);
    expect(model.refusal).toEqual({
      command: { kind: 'checkpoint' },
      error: new AnswerError(409, 'The disk is full.', 'Free some space.')
    });
  });

  it('does not hide why a later one was refused', async () => {
    await follow();
    void model.send({ kind: 'validate' });
    await accept(1);
    void model.send({ kind: 'checkpoint' });
    await server.last.refuse(new AnswerError(409, 'No.'));
    await vi.advanceTimersByTimeAsync(600);
    await server.last.answer(reply({ sessions: [held], outcomes: [{ ticket: 1, error: null, hint: null }] }));
    expect([underWay(), model.refusal?.error.message]).toEqual([[], 'No.']);
  });

  it('continues while another command is sent and answered', async () => {
    await follow();
    void model.send({ kind: 'reload' });
    await accept(1);
    void model.send({ kind: 'pause' });
    expect(underWay()).toEqual(['reload', 'pause']);
    await server.last.answer(trained(11));
    expect([underWay(), model.can('reload')]).toEqual([['reload'], false]);
  });

  it('may take very long: the panel asks less and less often, but does not stop', async () => {
    await follow();
    void model.send({ kind: 'reload' });
    await accept(1);
    let questions = 0;
    for (let seconds = 0; seconds < 600; seconds += 1) {
      const before = server.questions.length;
      await vi.advanceTimersByTimeAsync(1000);
      if (server.questions.length > before) {
        questions += 1;
        await server.last.answer(reply({ sessions: [held] }));
      }
    }
    expect(questions).toBeLessThan(50);
    expect(underWay()).toEqual(['reload']);
  });

  it('is asked about no more once the kernel is another one, or gone', async () => {
    await follow();
    void model.send({ kind: 'reload' });
    await accept(1);
    await follow('kernel-2');
    const before = server.questions.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect([server.questions.length, underWay()]).toEqual([before, []]);
    const sent = model.send({ kind: 'reload' });
    await accept(2);
    await vi.advanceTimersByTimeAsync(600);
    await server.last.refuse(new AnswerError(404, 'There is no such kernel.'));
    expect([underWay(), await sent]).toEqual([[], false]);
  });
});

describe('the session that is shown', () => {
  it('is the newer report of the kernel and the store', async () => {
    await follow();
    runs.upsert([run({ id: 'run-1', session: { ...held, batches_trained: 15 } })]);
    expect(shown()).toBe(15);
    void model.refresh();
    await server.last.answer(trained(20));
    expect(shown()).toBe(20);
  });

  it('is the last run of a kernel that has forgotten it, and takes no commands', async () => {
    runs.upsert([run({ id: 'run-1', state: 'interrupted', session: held })]);
    await follow('kernel-1', reply({ sessions: [], cards: [] }));
    expect([model.current?.state, model.current?.steerable, model.can('pause')]).toEqual([
      'interrupted',
      false,
      false
    ]);
  });

  it('is asked for when a run is at work that the kernel has not named, at most every few seconds', async () => {
    await follow('kernel-1', reply({ sessions: [], cards: [] }));
    const before = server.questions.length;
    for (let count = 0; count < 5; count += 1) {
      runs.upsert([run({ id: 'run-9', session: { ...held, run_id: 'run-9', batches_trained: count } })]);
    }
    expect(server.questions.length).toBe(before + 1);
  });
});

describe('of several sessions', () => {
  const first = session({
    session_id: 'first',
    state: 'paused',
    run_id: 'run-1',
    allowed: ['resume', 'reload']
  });
  const second = session({
    session_id: 'second',
    state: 'running',
    run_id: 'run-2',
    allowed: ['pause', 'reload']
  });
  const both = reply({
    sessions: [first, second],
    cards: [card({ class_name: 'First' }), card({ class_name: 'Second' })],
    definition_paths: ['here', 'there']
  });

  function now(): unknown[] {
    return [model.current?.session.session_id, model.card?.class_name, model.definitionPath];
  }

  it('the current one is shown, until the user chooses another one', async () => {
    await follow('kernel-1', both);
    expect(now()).toEqual(['second', 'Second', 'there']);
    model.show('first');
    expect(now()).toEqual(['first', 'First', 'here']);
    void model.refresh();
    await server.last.answer(both);
    expect(now()).toEqual(['first', 'First', 'here']);
    await follow('kernel-2', both);
    expect(now()).toEqual(['second', 'Second', 'there']);
  });

  it('a new one is shown when it is loaded, and the chosen one stays when another one is closed', async () => {
    const third = session({ session_id: 'third' });
    await follow('kernel-1', reply({ sessions: [first, second, third] }));
    model.show('first');
    void model.refresh();
    await server.last.answer(both);
    expect(model.current?.session.session_id).toBe('first');
    void model.refresh();
    await server.last.answer(reply({ sessions: [first, second, third] }));
    expect(model.current?.session.session_id).toBe('third');
    model.show('first');
    void model.refresh();
    await server.last.answer(reply({ sessions: [second, third] }));
    expect(model.current?.session.session_id).toBe('third');
  });

  it('each is as the store or the kernel has reported it last', async () => {
    await follow('kernel-1', both);
    runs.upsert([
      run({ id: 'run-1', session: { ...first, state: 'running', batches_trained: 7 } }),
      run({ id: 'run-2', session: { ...second, batches_trained: 9 } })
    ]);
    expect(model.sessions.map(({ state, batches_trained }) => [state, batches_trained])).toEqual([
      ['running', 7],
      ['running', 9]
    ]);
    void model.refresh();
    await server.last.answer(both);
    expect(model.sessions.map(({ state }) => state)).toEqual(['paused', 'running']);
  });

  it('the one that is shown gets the commands, and what became of them stays with it', async () => {
    await follow('kernel-1', both);
    void model.send({ kind: 'reload' });
    const command = server.last;
    model.show('first');
    expect([underWay(), model.can('reload'), model.can('pause'), model.can('resume')]).toEqual([
      [],
      true,
      false,
      true
    ]);
    await command.refuse(new AnswerError(409, 'No.'));
    expect(model.refusal).toBeNull();
    void model.send({ kind: 'resume' });
    await server.last.answer(both);
    expect(server.sentTo).toEqual(['second', 'first']);
  });
});
