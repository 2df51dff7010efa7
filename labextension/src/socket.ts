/**
 * The server's WebSocket: changed runs, the curves of the one run that is watched, and edits of the definition that is shown.
 *
 * The connection comes back by itself: at once when the browser says that it is online again, else after a pause that doubles.
 */
import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type {
  DefinitionChanged,
  DefinitionWatched,
  LogMessage,
  RunsMessage,
  RunsRemoved,
  ScanProgress,
  SeriesMessage,
  Watch,
  WatchDefinition
} from '../protocol';

export type ServerMessage =
  | RunsMessage
  | RunsRemoved
  | SeriesMessage
  | LogMessage
  | DefinitionWatched
  | DefinitionChanged
  | ScanProgress;

/** `waiting`: not connected, the next attempt is scheduled. */
export type SocketStatus = 'connecting' | 'open' | 'waiting';

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

export class LiveSocket implements IDisposable {
  constructor(settings: ServerConnection.ISettings) {
    this._settings = settings;
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
    return this._listeners.signal.aborted;
  }

  /** Connect now, unless a connection stands or is on its way. */
  connect(): void {
    if (this.isDisposed || this._socket !== null) {
      return;
    }
    window.clearTimeout(this._timer);
    const { appendToken, token, WebSocket, wsUrl } = this._settings;
    let url = URLExt.join(wsUrl, 'detjupyter/api/live');
    if (appendToken && token !== '') {
      url += `?token=${encodeURIComponent(token)}`;
    }
    const socket = new WebSocket(url);
    this._socket = socket;
    this.setStatus('connecting');
    socket.onopen = () => {
      this._pauseMs = FIRST_PAUSE_MS;
      this.say({ kind: 'watch', run_id: this._watched });
      this.say({ kind: 'watch_definition', path: this._definition });
      this.setStatus('open');
    };
    socket.onmessage = (event: MessageEvent) => this.receive(event.data);
    socket.onclose = () => this.reconnectLater();
  }

  /** Ask for the curves of this run, now and after every reconnection. */
  watch(runId: string | null): void {
    this._watched = runId;
    this.say({ kind: 'watch', run_id: runId });
  }

  /** Ask for word of edits of this definition, now and after every reconnection. */
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
    window.clearTimeout(this._timer);
    if (this._socket !== null) {
      this._socket.onopen = this._socket.onmessage = this._socket.onclose = null;
      this._socket.close();
      this._socket = null;
    }
    Signal.clearData(this);
  }

  private say(message: Watch | WatchDefinition): void {
    if (this._socket?.readyState === WebSocket.OPEN) {
      this._socket.send(JSON.stringify(message));
    }
  }

  private receive(data: unknown): void {
    if (typeof data !== 'string') {
      return;
    }
    const message = JSON.parse(data) as ServerMessage;
    this._message.emit(message);
  }

  private reconnectLater(): void {
    this._socket = null;
    // The random part keeps many browsers from returning to a restarted server in the same instant.
    const pauseMs = this._pauseMs * (0.75 + Math.random() / 2);
    this._pauseMs = Math.min(this._pauseMs * 2, LONGEST_PAUSE_MS);
    this._timer = window.setTimeout(() => this.connect(), pauseMs);
    this.setStatus('waiting');
  }

  private setStatus(status: SocketStatus): void {
    if (status !== this._status) {
      this._status = status;
      this._statusChanged.emit(status);
    }
  }

  private readonly _settings: ServerConnection.ISettings;
  private readonly _listeners = new AbortController();
  private readonly _message = new Signal<this, ServerMessage>(this);
  private readonly _statusChanged = new Signal<this, SocketStatus>(this);
  private _socket: WebSocket | null = null;
  private _status: SocketStatus = 'waiting';
  private _watched: string | null = null;
  private _definition: string | null = null;
  private _pauseMs = FIRST_PAUSE_MS;
  private _timer = 0;
}
