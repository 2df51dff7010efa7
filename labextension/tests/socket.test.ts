// @vitest-environment happy-dom
import type { ServerConnection } from '@jupyterlab/services';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ServerMessage } from '../src/messages';
import { LiveSocket } from '../src/socket';

/** A connection whose other end is the test. */
class Connection {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readyState: number = WebSocket.CONNECTING;
  readonly sent: unknown[] = [];

  constructor(readonly url: string) {
    connections.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  open(): void {
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }

  close(): void {
    this.readyState = WebSocket.CLOSED;
    this.onclose?.();
  }
}

let connections: Connection[];
let socket: LiveSocket;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.5); // the pauses have a random part
  connections = [];
  const settings: Partial<ServerConnection.ISettings> = {
    appendToken: true,
    token: 'a b',
    wsUrl: 'ws://localhost:8888/',
    WebSocket: Connection as unknown as typeof WebSocket
  };
  socket = new LiveSocket(settings as ServerConnection.ISettings);
  socket.connect();
  await vi.advanceTimersByTimeAsync(10);
});

afterEach(() => {
  socket.dispose();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it('a connection is made to our route, with the token', () => {
  expect(connections.map(({ url }) => url)).toEqual(['ws://localhost:8888/detjupyter/api/live?token=a%20b']);
  expect(socket.status).toBe('connecting');
  socket.connect(); // one is on its way
  expect(connections).toHaveLength(1);
});

it('the server hears what is watched when it is wanted, and again after every reconnection', async () => {
  socket.watch('run-1');
  const [first] = connections;
  first!.open();
  socket.watchDefinition('digits');
  socket.watchDefinition('digits');
  expect(first!.sent).toEqual([
    { kind: 'watch', run_id: 'run-1', number: 0 },
    { kind: 'watch_definition', path: null },
    { kind: 'watch_definition', path: 'digits' }
  ]);
  first!.close();
  await vi.advanceTimersByTimeAsync(2000);
  connections[1]!.open();
  expect(connections[1]!.sent).toEqual([
    { kind: 'watch', run_id: 'run-1', number: 0 },
    { kind: 'watch_definition', path: 'digits' }
  ]);
});

it('a frame that is not a message is skipped, and the next one is received', () => {
  const heard: ServerMessage[] = [];
  socket.message.connect((_, message) => heard.push(message));
  const [first] = connections;
  first!.open();
  first!.onmessage?.({ data: '<html>' });
  first!.onmessage?.({ data: '{"kind": "runs_removed", "run_ids": []}' });
  expect(heard).toEqual([{ kind: 'runs_removed', run_ids: [] }]);
});

describe('a server that does not answer', () => {
  it('is tried again after pauses that grow, never longer than half a minute', async () => {
    const pauses: number[] = [];
    for (let attempt = 0; attempt < 9; attempt += 1) {
      const failed = Date.now();
      connections.at(-1)!.close();
      const before = connections.length;
      while (connections.length === before) {
        await vi.advanceTimersByTimeAsync(10);
      }
      pauses.push(Date.now() - failed);
    }
    expect(pauses[4]).toBeGreaterThan(pauses[2]! * 2);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_020);
    expect(pauses.at(-1)).toBeGreaterThan(29_000);
  });

  it('is tried at once when the browser says that it is online', async () => {
    connections[0]!.close();
    await vi.advanceTimersByTimeAsync(10);
    expect([socket.status, connections.length]).toEqual(['waiting', 1]);
    window.dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(10);
    expect(connections).toHaveLength(2);
  });
});

it('after its disposal nothing is tried, sent or heard', async () => {
  const heard: ServerMessage[] = [];
  socket.message.connect((_, message) => heard.push(message));
  const [first] = connections;
  first!.open();
  const sent = first!.sent.length;
  socket.dispose();
  socket.connect();
  socket.watch('run-2');
  first!.onmessage?.({ data: '{"kind": "runs_removed", "run_ids": []}' });
  window.dispatchEvent(new Event('online'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect([connections.length, first!.sent.length, heard.length, socket.isDisposed]).toEqual([
    1,
    sent,
    0,
    true
  ]);
});
