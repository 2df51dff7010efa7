/** What the panel shows, and how its parts follow the notebook, the kernel, the files and the server. */
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Debouncer } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { FailureRecord } from '../../protocol';
import { Api } from '../api';
import { AnswerError } from '../errors';
import type { ServerMessage } from '../messages';
import type { SocketStatus } from '../socket';
import { LiveSocket } from '../socket';
import { Curves } from './curves';
import { DefinitionModel } from './definition';
import { EditModel } from './edit';
import type { Executed } from './notebook';
import { ActiveNotebook } from './notebook';
import { Notifier } from './notifier';
import { RestoreModel } from './restoring';
import { RunsModel } from './runs';
import { SessionModel } from './session';

/** Edits come in bursts, and the kernel compares files each time that it is asked what changed. */
const ASK_KERNEL_AFTER_MS = 300;
/** A kernel whose definition has many files answers with what it knows, and looks at them after that. */
const ASK_KERNEL_AGAIN_MS = 2000;

const SERVICE_UNAVAILABLE = 503;

export class PanelModel implements IDisposable {
  /** `openFile` opens a file, given by its path relative to the server's root, and `openRuns` the table of all runs, null if it cannot. */
  constructor(
    tracker: INotebookTracker,
    contents: Contents.IManager,
    readonly openFile: (path: string) => void,
    readonly openRuns: (() => void) | null = null
  ) {
    this._contents = contents;
    this.api = new Api(contents.serverSettings);
    this.socket = new LiveSocket(contents.serverSettings);
    this.notebook = new ActiveNotebook(tracker);
    this.runs = new RunsModel(this.api);
    this.notifier = new Notifier(this.runs);
    this.session = new SessionModel(this.api, this.runs);
    this.restoring = new RestoreModel(this.session, this.api);
    this.definition = new DefinitionModel(this.api);
    this.edit = new EditModel(this.api, this.definition);

    this.socket.message.connect(this.onMessage, this);
    this.socket.statusChanged.connect(this.onSocket, this);
    this.notebook.switched.connect(this.onSwitched, this);
    this.notebook.kernelLost.connect(() => this.session.forget(), this);
    this.notebook.kernelReturned.connect(() => void this.session.refresh(), this);
    this.notebook.executed.connect(this.onExecuted, this);
    this.session.changed.connect(this.onSession, this);
    this.definition.changed.connect(() => this.socket.watchDefinition(this.definition.watchedPath), this);
    window.addEventListener('focus', () => this.onFocus(), { signal: this._listeners.signal });
    contents.fileChanged.connect(this.onFile, this);

    this.onSwitched();
    this.socket.connect();
    void this.runs.refresh();
  }

  readonly api: Api;
  readonly socket: LiveSocket;
  readonly notebook: ActiveNotebook;
  readonly runs: RunsModel;
  readonly notifier: Notifier;
  readonly session: SessionModel;
  readonly restoring: RestoreModel;
  readonly definition: DefinitionModel;
  readonly edit: EditModel;
  /** The curves of the run that the Live section shows. */
  readonly curves = new Curves();

  /** The connection to the server was opened or closed, or the server can read the history, or no longer. */
  get connectionChanged(): ISignal<this, SocketStatus> {
    return this._connectionChanged;
  }

  /** Whether the connection broke and has not come back yet. */
  get isCut(): boolean {
    return this._wasOpen && this.socket.status !== 'open';
  }

  /** Why the server cannot read the history at present; it tries again by itself. */
  get historyFailure(): Error | null {
    return this._historyFailure;
  }

  /** Why the server cannot read the run that the Live section shows; it tries again by itself. */
  get curvesFailure(): Error | null {
    return this._curvesFailure;
  }

  /** Ask the server and the kernel again. */
  refresh(): void {
    this.socket.connect();
    if (this._historyFailure !== null) {
      this.socket.watch(this._watched); // the server then tries again at once
    }
    void this.session.refresh();
    void this.definition.refresh();
    void this.runs.refresh();
  }

  /** Open a file of the definition, given by its path in it. */
  openFileOfDefinition(file: string): void {
    const { path, record } = this.definition;
    if (path !== null && record !== null) {
      this.openFile(record.is_file || record.path === '' ? record.path || file : `${record.path}/${file}`);
    }
  }

  get isDisposed(): boolean {
    return this.socket.isDisposed;
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._contents.fileChanged.disconnect(this.onFile, this);
    this._listeners.abort();
    this._askKernel.dispose();
    this._askKernelAgain.dispose();
    this.socket.dispose();
    this.notebook.dispose();
    this.edit.dispose();
    this.definition.dispose();
    Signal.clearData(this.curves);
    Signal.clearData(this.runs);
    this.restoring.dispose();
    this.session.dispose();
    Signal.clearData(this);
  }

  private onSwitched(): void {
    if (this.session.kernelId !== this.notebook.kernelId) {
      // A kernel without detjupyter logs an error when it is asked: do not ask for notebooks that never mention it.
      this.session.follow(this.notebook.kernelId, { ask: this.notebook.mentionsUs() });
    } else if (!this.session.asked && this.notebook.mentionsUs()) {
      void this.session.refresh();
    }
    this.definition.follow(this.notebook.directory);
    this.chooseDefinition();
  }

  private onExecuted(_: ActiveNotebook, cell: Executed): void {
    if (this.session.loaded || cell.mentionsUs) {
      void this.session.refreshAfterCell();
    }
    this.definition.refreshSoon();
  }

  private onSession(): void {
    this.chooseDefinition();
    const runId = this.session.current?.run?.id ?? null;
    if (runId !== this._watched) {
      this._watched = runId;
      this._curvesFailure = null;
      this.curves.clear();
      this.socket.watch(runId);
    }
  }

  /** What is loaded wins over the notebook's own directory. While a kernel is asked, the panel does not change. */
  private chooseDefinition(): void {
    const { session, notebook } = this;
    const loaded = session.loaded && session.card !== null;
    if (session.state !== 'unknown' || this.definition.path === null || notebook.path === null) {
      this.definition.follow(loaded ? session.definitionPath : notebook.directory);
    }
  }

  private onMessage(_: LiveSocket, message: ServerMessage): void {
    if (message.kind === 'runs') {
      this.runs.upsert(message.runs);
    } else if (message.kind === 'runs_removed') {
      this.runs.remove(message.run_ids);
    } else if (message.kind === 'definition_watched' && message.path === this.definition.path) {
      this.definition.setWatched(message.watched, errorOf(message.failure));
    } else if (message.kind === 'history_watched') {
      this.onHistory(message.run_id, errorOf(message.failure));
    } else if (message.kind === 'scan_progress') {
      this.definition.setFound(message.path, message.found);
    } else if (message.kind === 'definition_changed' && message.path === this.definition.path) {
      this.definition.refreshSoon();
      this.askKernelSoon();
    } else if (message.kind === 'series' && message.run_id === this._watched) {
      if (!this.curves.apply(message.patches)) {
        // Points in between never came: ask for the whole of it again.
        this.curves.clear();
        this.socket.watch(this._watched);
      }
    }
  }

  private onHistory(runId: string | null, failure: Error | null): void {
    if (runId === null) {
      this._historyFailure = failure;
      if (failure === null) {
        void this.runs.refresh(); // what was deleted while it could not be read
      }
    } else if (runId === this._watched) {
      this._curvesFailure = failure;
    }
    this._connectionChanged.emit(this.socket.status);
  }

  private onSocket(_: LiveSocket, status: SocketStatus): void {
    if (status === 'open') {
      if (this._wasOpen || this.runs.state === 'failed') {
        // While the connection was closed, runs were added, changed and deleted.
        void this.runs.refresh();
        void this.session.refresh();
        this.definition.refreshSoon();
      }
      this._wasOpen = true;
    } else {
      this.definition.setWatched(false);
      this._historyFailure = this._curvesFailure = null;
    }
    this._connectionChanged.emit(status);
  }

  /** Ask the kernel what of its code has changed, if it has loaded any. */
  private askKernelSoon(): void {
    if (this.session.card !== null) {
      void this._askKernel.invoke();
    }
  }

  private onFocus(): void {
    this.definition.focused();
    this.askKernelSoon();
  }

  private onFile(_: Contents.IManager, change: Contents.IChangedArgs): void {
    for (const file of [change.oldValue, change.newValue]) {
      if (file?.path) {
        if (this.definition.holds(this._contents.localPath(file.path))) {
          this.definition.refreshSoon();
          this.askKernelSoon();
        }
      }
    }
  }

  private readonly _contents: Contents.IManager;
  private readonly _connectionChanged = new Signal<this, SocketStatus>(this);
  private readonly _listeners = new AbortController();
  private readonly _askKernel = new Debouncer<void, void, []>(async () => {
    void this._askKernelAgain.invoke();
    await this.session.refresh();
  }, ASK_KERNEL_AFTER_MS);
  private readonly _askKernelAgain = new Debouncer<void, void, []>(
    () => this.session.refresh(),
    ASK_KERNEL_AGAIN_MS
  );
  private _watched: string | null = null;
  private _wasOpen = false;
  private _historyFailure: Error | null = null;
  private _curvesFailure: Error | null = null;
}

function errorOf(failure: FailureRecord | null): AnswerError | null {
  return failure === null ? null : new AnswerError(SERVICE_UNAVAILABLE, failure.message, failure.hint);
}
