/**
 * The server's WebSocket: changed runs, the curves of the runs that are watched, and edits of the definition that is shown.
 *
 * The connection comes back by itself: at once when the browser says that it is online again, else after pauses that grow.
 */
import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { Watch, WatchDefinition } from '../protocol';
import type { ServerMessage } from './messages';
import { parseMessage } from './messages';

/** `waiting`: not connected, the next attempt is scheduled. */
export type SocketStatus = 'connecting' | 'open' | 'waiting';

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

export class LiveSocket implements IDisposable {
  constructor(settings: ServerConnection.ISettings) {
    this._settings = settings;
    // One turn of the poll is one connection. A connection that never opened fails the turn, and only then the pause grows; its random
    // part keeps many browsers from returning to a restarted server in the same instant.
    this._connections = new Poll({
      name: 'detjupyter:socket',
      auto: false,
      factory: () => this.hold(),
      frequency: { interval: FIRST_PAUSE_MS, backoff: true, max: LONGEST_PAUSE_MS },
      standby: 'never'
    });
    window.addEventListener('online', () => this.connect(), { signal: this._listeners.signal });
  }

  get message(): ISignal<this, ServerMessage> {
    return this._message;
  }

  get statusChanged(): ISignal<this, SocketStatus> {
    return this._statusChanged;
  }

  get status(): SocketStatus {
    return this._status;
  }

  get isDisposed(): boolean {
    return this._connections.isDisposed;
  }

  /** Connect now, unless there is a connection or one is on its way. */
  connect(): void {
    if (this._socket === null) {
      void this._connections.refresh();
    }
  }

  /** Ask for the curves of this run, now and after every reconnection; `number` tells the runs that are watched at a time apart. */
  watch(runId: string | null, number = 0): void {
    if (runId === null) {
      this._watched.delete(number);
    } else {
      this._watched.set(number, runId);
    }
    this.say({ kind: 'watch', run_id: runId, number });
  }

  /** Subscribe to edits of this definition, now and after every reconnection. */
  watchDefinition(path: string | null): void {
    if (path !== this._definition) {
      this._definition = path;
      this.say({ kind: 'watch_definition', path });
    }
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._listeners.abort();
    this._connections.dispose();
    if (this._socket !== null) {
      this._socket.onopen = this._socket.onmessage = this._socket.onclose = null;
      this._socket.close();
      this._socket = null;
    }
    Signal.clearData(this);
  }

  /** Connect, and return when the connection is closed again; fail if it never opened. */
  private async hold(): Promise<void> {
    const { appendToken, token, WebSocket, wsUrl } = this._settings;
    let url = URLExt.join(wsUrl, 'detjupyter/api/live');
    if (appendToken && token !== '') {
      url += `?token=${encodeURIComponent(token)}`;
    }
    const socket = new WebSocket(url);
    this._socket = socket;
    this.setStatus('connecting');
    socket.onopen = () => {
      this._watched.forEach((run_id, number) => this.say({ kind: 'watch', run_id, number }));
      this.say({ kind: 'watch_definition', path: this._definition });
      this.setStatus('open');
    };
    socket.onmessage = (event: MessageEvent) => this.receive(event.data);
    await new Promise<void>((resolve, reject) => {
      socket.onclose = () => {
        const wasOpen = this._status === 'open';
        this._socket = null;
        this.setStatus('waiting');
        if (wasOpen) {
          resolve();
        } else {
          reject(new Error(`No connection to ${wsUrl}.`));
        }
      };
    });
  }

  private say(message: Watch | WatchDefinition): void {
    if (this._socket?.readyState === WebSocket.OPEN) {
      this._socket.send(JSON.stringify(message));
    }
  }

  private receive(frame: unknown): void {
    const message = parseMessage(frame);
    if (message !== null) {
      this._message.emit(message);
    }
  }

  private setStatus(status: SocketStatus): void {
    if (status !== this._status) {
      this._status = status;
      this._statusChanged.emit(status);
    }
  }

  private readonly _settings: ServerConnection.ISettings;
  private readonly _listeners = new AbortController();
  private readonly _connections: Poll;
  private readonly _message = new Signal<this, ServerMessage>(this);
  private readonly _statusChanged = new Signal<this, SocketStatus>(this);
  private _socket: WebSocket | null = null;
  private _status: SocketStatus = 'waiting';
  private readonly _watched = new Map<number, string>();
  private _definition: string | null = null;
}
