import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { CheckpointRecord, Command, KernelReply, SessionRecord } from '../protocol';
import { AnswerError } from '../src/errors';
import type { Loss } from '../src/model/restoring';
import { RestoreModel, restoredText } from '../src/model/restoring';
import { RunsModel } from '../src/model/runs';
import { SessionModel } from '../src/model/session';
import { recipe, reply, run, session } from './records';

function checkpoint(batches: number, of = 'run-1'): CheckpointRecord {
  return {
    id: `${of}-${batches}`,
    run_id: of,
    batches_trained: batches,
    created_at: batches,
    path: `/checkpoints/${of}/${batches}`,
    size_bytes: 100,
    automatic: false,
    metric: null
  };
}

const ours = run({ id: 'run-1', recipe: recipe() });
const listed = [checkpoint(120), checkpoint(40)];
const at40 = checkpoint(40);
const finished = session({
  state: 'finished',
  run_id: 'run-1',
  batches_trained: 120,
  elapsed_s: 10,
  allowed: ['restore'],
  saved: { checkpoint: 'run-1-120', run_id: 'run-1' }
});

/** The server, whose kernel holds `held`. */
class Server {
  held: SessionRecord[] = [finished];
  saved: readonly CheckpointRecord[] = listed;
  refusal: Error | null = null;
  readonly commands: Command[] = [];

  kernel(): Promise<KernelReply> {
    return Promise.resolve(reply({ sessions: this.held }));
  }

  command(_kernel: string, _session: string | null, command: Command): Promise<KernelReply> {
    this.commands.push(command);
    return this.refusal === null ? this.kernel() : Promise.reject(this.refusal);
  }

  checkpoints(runId: string): Promise<readonly CheckpointRecord[]> {
    return Promise.resolve(this.saved.filter(one => one.run_id === runId));
  }

  runs(): Promise<readonly []> {
    return Promise.resolve([]);
  }

  deleteRun(): Promise<void> {
    return Promise.resolve();
  }
}

let server: Server;
let sessions: SessionModel;
let model: RestoreModel;
let asked: Loss[];
let agrees: boolean;

beforeEach(() => {
  server = new Server();
  sessions = new SessionModel(server, new RunsModel(server));
  model = new RestoreModel(sessions, server);
  asked = [];
  agrees = true;
});

afterEach(() => {
  model.dispose();
  sessions.dispose();
});

async function follow(...held: SessionRecord[]): Promise<void> {
  server.held = held;
  sessions.follow('kernel-1', { ask: true });
  await vi.waitFor(() => expect(sessions.state).toBe('ready'));
}

function restore(target = at40): Promise<void> {
  return model.restore(target, loss => {
    asked.push(loss);
    return Promise.resolve(agrees);
  });
}

describe('the button of a checkpoint', () => {
  it('restores in the session of the same definition, also what an earlier run of it has saved', async () => {
    await follow(finished);
    for (const one of [ours, run({ id: 'run-0', recipe: recipe() })]) {
      expect(model.offer(one, at40, listed)).toEqual({ how: 'session', why: null });
    }
  });

  it('is off while Python does not allow a restore, and says why', async () => {
    for (const [state, why] of [
      ['running', 'Stop the training before you restore a checkpoint'],
      ['paused', 'Stop the training before you restore a checkpoint'],
      ['finished', 'The session is closed']
    ] as const) {
      await follow({ ...finished, state, allowed: [] });
      expect(model.offer(ours, at40, listed)).toEqual({ how: 'session', why });
    }
    await follow({ ...finished, activity: 'validating', allowed: ['stop'] });
    expect(model.offer(ours, at40, listed)).toEqual({
      how: 'session',
      why: 'Possible when the validation has ended'
    });
  });

  it('offers the lines that load it where no session, or one of another definition, is loaded', async () => {
    for (const other of [
      { ...finished, entrypoint: 'model_def:Other' },
      { ...finished, definition_root: '/elsewhere' }
    ]) {
      await follow(other);
      expect(model.offer(ours, at40, listed)).toEqual({
        how: 'lines',
        lines: '%det_load --from run-1\n%det_restore run-1-40'
      });
    }
    await follow();
    expect(model.offer(ours, checkpoint(120), listed)).toEqual({
      how: 'lines',
      lines: '%det_load --from run-1'
    });
    sessions.follow('kernel-2', { ask: false });
    expect(model.offer(ours, checkpoint(120), listed)).toEqual({
      how: 'lines',
      lines: '%load_ext detjupyter\n%det_load --from run-1'
    });
  });

  it('is not there for the run of a script', async () => {
    await follow(finished);
    expect(model.offer(run({ id: 'run-1' }), at40, listed)).toBeNull();
  });
});

describe('a restore', () => {
  it('sends the id, and names the checkpoint that leads back', async () => {
    await follow(finished);
    await restore();
    expect([server.commands, asked]).toEqual([[{ kind: 'restore', checkpoint: 'run-1-40' }], []]);
    expect(model.restored && restoredText(model.restored)).toBe(
      'Restored batch 40. To return to batch 120, restore `run-1-120`.'
    );
  });

  it('asks before a state is lost that no checkpoint holds', async () => {
    await follow({ ...finished, batches_trained: 121, saved: null });
    agrees = false;
    await restore();
    expect([server.commands, model.restored]).toEqual([[], null]);
    expect(asked).toEqual([{ target: at40, batchesTrained: 121 }]);
    agrees = true;
    await restore();
    expect(model.restored && restoredText(model.restored)).toBe('Restored batch 40.');
  });

  it('does not ask if nothing was trained', async () => {
    await follow({ ...finished, run_id: null, batches_trained: 0, elapsed_s: 0 });
    await restore();
    expect([asked, server.commands.length]).toEqual([[], 1]);
  });

  it('asks although a checkpoint has the same batch, if it holds another state', async () => {
    await follow({ ...finished, saved: null });
    await restore();
    expect(asked).toEqual([{ target: at40, batchesTrained: 120 }]);
  });

  it('returns to the checkpoint of another run, which the session was restored from', async () => {
    const other = checkpoint(120, 'run-0');
    server.saved = [...listed, other];
    await follow({ ...finished, saved: { checkpoint: other.id, run_id: 'run-0' } });
    await restore();
    expect([asked, model.restored?.back]).toEqual([[], other]);
  });

  it('asks if the checkpoint of the state was deleted, or its run', async () => {
    server.saved = [at40];
    await follow(finished);
    await restore();
    expect(asked.length).toBe(1);
  });

  it('that was refused says so, and is not a way back', async () => {
    await follow(finished);
    server.refusal = new AnswerError(409, 'The checkpoint is incomplete.');
    await restore();
    expect([model.restored, model.refusal?.checkpoint, model.refusal?.error.message]).toEqual([
      null,
      'run-1-40',
      'The checkpoint is incomplete.'
    ]);
  });

  it('is pending until it has ended, and no other one is offered', async () => {
    await follow(finished);
    let answer: (value: KernelReply) => void = () => undefined;
    server.command = () => new Promise(resolve => (answer = resolve));
    const done = restore();
    await vi.waitFor(() => expect(model.pending).toBe('run-1-40'));
    expect(model.offer(ours, checkpoint(120), listed)).toEqual({
      how: 'session',
      why: 'A checkpoint is being restored'
    });
    answer(reply({ sessions: [{ ...finished, batches_trained: 40 }] }));
    await done;
    expect([model.pending, model.restored?.target]).toEqual([null, at40]);
  });

  it('is forgotten when the session trains again, or is another one', async () => {
    for (const next of [
      { ...finished, state: 'running' as const, allowed: ['pause'] },
      { ...finished, session_id: 'another' }
    ]) {
      await follow(finished);
      await restore();
      expect(model.restored).not.toBeNull();
      server.held = [next];
      await sessions.refresh();
      expect(model.restored).toBeNull();
    }
  });
});
