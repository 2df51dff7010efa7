/** One run as an output shows it: its record, curves and log from the server, and the session of the kernel that trains it. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { ChartPatch } from '../../chart';
import { INTERRUPTED, isLive } from '../../live/words';
import { BUTTONS } from '../../protocol';
import type { Command, EndedTraining, LogLine, RunRecord, RunReference, SessionRecord } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../errors';
import type { ServerMessage } from '../messages';
import { Curves } from '../model/curves';
import { type KnownRuns, SessionModel } from '../model/session';
import type { LiveSocket, SocketStatus } from '../socket';
import type { Feed, KernelQuestions } from './feed';

/** What is new about the run, besides its record. */
export interface News {
  patches: readonly ChartPatch[];
  log: readonly LogLine[];
  /** The log begins again from the start. */
  isWholeLog: boolean;
}

const ONLY_THE_RECORD: News = { patches: [], log: [], isWholeLog: false };
/** What a session says of the present moment, when it is over. */
const AT_REST = {
  activity: 'idle',
  allowed: [],
  slowed: false,
  stuck: null,
  validation_done: null,
  validation_total: null,
  eta_s: null
} as const;

export class RunModel implements KnownRuns {
  constructor(
    private readonly api: Api,
    private readonly feed: Feed,
    questions: KernelQuestions,
    reference: RunReference
  ) {
    this.runId = reference.run_id;
    this._ended = reference.ended;
    this._session = new SessionModel(
      {
        kernel: id => questions.ask(id),
        command: (id, sessionId, command) => api.command(id, sessionId, command)
      },
      this
    );
    this._session.changed.connect(() => this.tell());
    this._curves.patched.connect((_, patches) => this.tell({ patches: this.shown(patches ?? []) }));
  }

  readonly runId: string;

  /** Emitted with whatever is new, also if only the record is. */
  get news(): ISignal<this, News> {
    return this._news;
  }

  /** Emitted when another record of the run has arrived: `SessionModel` follows it. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The run as the history has it; null before anything is known. */
  get record(): RunRecord | null {
    return this._run;
  }

  /** The session as it is now, or as the run recorded it last; null before anything is known. */
  get session(): SessionRecord | null {
    const run = this._run;
    const current = this._session.current;
    if (this.isSteerable && current !== null) {
      return this.isOfLaterTraining(current.session) ? this.atItsEnd(current.session) : current.session;
    }
    if (run === null || run.session === null) {
      return null;
    }
    // A kernel that has not answered yet most likely still does what the run says.
    const rest = isLive(run.state) && this._session.state === 'unknown' ? {} : AT_REST;
    const session = { ...run.session, ...rest, state: run.state };
    return this.isOfLaterTraining(session) ? this.atItsEnd(session) : session;
  }

  /** What a user should know about the data; '' if they are complete and up to date. */
  get remark(): string {
    if (this._isDeleted) {
      return 'This run was deleted from the history.';
    }
    if (this._socket?.status === 'waiting' && this._wasOpen) {
      return 'The Jupyter server cannot be reached. What you see may be old.';
    }
    return this._failure || (this.session?.state === 'interrupted' ? INTERRUPTED : '');
  }

  /** The cell's training has ended: it ended like this. */
  end(ended: EndedTraining | null): void {
    this._ended = ended;
    this.tell();
  }

  /**
   * Fetch the run, and follow it if it can still change. Can be called again, for example after an error.
   *
   * Throws what the server answers if it cannot show the run.
   */
  async begin(): Promise<void> {
    const run = await this.api.run(this.runId);
    this._run = run;
    if (run.session === null && !isLive(run.state)) {
      throw new AnswerError(404, 'The run has no record of its training.');
    }
    const { kernel_id } = run;
    if (kernel_id !== null) {
      this._session.follow(kernel_id, { ask: false });
      this._session.show(run.session?.session_id ?? '');
    }
    if (!this.canChange) {
      await this.fetch();
    }
    // A kernel can take long to answer: the curves do not wait for it.
    if (kernel_id !== null) {
      void this.ask();
    }
    if (!this.canChange) {
      await this._asked;
    }
    if (this.canChange && !this._isDisposed) {
      this.follow();
    }
  }

  /** Send a command to the session; return why it was refused or failed, null if it was done. */
  async send(command: Command): Promise<string | null> {
    await this._asked; // what the session is
    if (!this._session.can(command.kind)) {
      await this.ask();
    }
    const isDone = await this._session.send(command);
    const error = this._session.refusal?.error ?? this._session.error;
    if (isDone || (error === null && this._session.can(command.kind))) {
      return null;
    }
    void this.ask(); // the kernel may be gone
    if (error === null) {
      return `${BUTTONS[command.kind].label} has no effect now.`;
    }
    const hint = error instanceof AnswerError ? error.hint : null;
    return hint === null ? error.message : `${error.message}\n${hint}`;
  }

  dispose(): void {
    this._isDisposed = true;
    this.unfollow();
    this._session.dispose();
    Signal.clearData(this);
  }

  /** For `SessionModel`: the history with this one run. */
  get(runId: string): RunRecord | null {
    return runId === this.runId ? this._run : null;
  }

  /** For `SessionModel`: the run, if that kernel trained it, in that session if one is named. */
  newestOf(kernelId: string, sessionId: string | null = null): RunRecord | null {
    const run = this._run;
    const isIts =
      run?.kernel_id === kernelId && (sessionId === null || run.session?.session_id === sessionId);
    return isIts ? run : null;
  }

  /** Whether the kernel still has the session, and this is its run. */
  private get isSteerable(): boolean {
    const current = this._session.current;
    return current !== null && current.steerable && current.session.run_id === this.runId;
  }

  private get canChange(): boolean {
    if (this._run === null || this._isDeleted) {
      return false;
    }
    const session = this._session.current?.session ?? this._run.session;
    const isLater = session !== null && this.isOfLaterTraining(session);
    return !isLater && (isLive(this._run.state) || this.isSteerable);
  }

  /** A run can train several times. Each cell shows the run up to the end of its own training. */
  private isOfLaterTraining({ run_id, trainings }: SessionRecord): boolean {
    return this._ended !== null && run_id === this.runId && trainings > this._ended.trainings;
  }

  private atItsEnd(session: SessionRecord): SessionRecord {
    return this._ended === null
      ? session
      : { ...session, ...AT_REST, ...this._ended, warnings: [], more_warnings: 0 };
  }

  private shown(patches: readonly ChartPatch[]): readonly ChartPatch[] {
    const session = this._session.current?.session ?? this._run?.session;
    const ended = this._ended;
    if (ended === null || !session || !this.isOfLaterTraining(session)) {
      return patches;
    }
    return patches.map(({ batches, values, ...patch }) => {
      const kept = Array.from(batches).filter(batch => batch <= ended.batches_trained);
      return { ...patch, batches: kept, values: Array.from(values).slice(0, kept.length) };
    });
  }

  private async fetch(): Promise<void> {
    const [patches, log] = await Promise.all([this.api.series(this.runId), this.api.log(this.runId)]);
    if (!this._isDisposed) {
      this._curves.apply(patches);
      this.tell({ log, isWholeLog: true });
    }
  }

  private follow(): void {
    if (this._socket !== null) {
      return;
    }
    const socket = this.feed.join();
    this._socket = socket;
    socket.message.connect(this.receive, this);
    socket.statusChanged.connect(this.onStatus, this);
    this.watch(socket);
    if (socket.status === 'open') {
      this.onStatus(socket, 'open');
    }
  }

  private unfollow(): void {
    if (this._socket !== null) {
      this._socket.watch(null, this._number);
      Signal.disconnectBetween(this._socket, this);
      this._socket = null;
      this.feed.leave();
    }
  }

  /** Ask for everything from the start; what is still under way of an earlier question no longer counts. */
  private watch(socket: LiveSocket): void {
    if (this._number !== 0) {
      socket.watch(null, this._number);
    }
    this._number = this.feed.number();
    socket.watch(this.runId, this._number);
    this.tell({ isWholeLog: true });
  }

  private onStatus(_: LiveSocket, status: SocketStatus): void {
    if (status === 'open') {
      this._wasOpen = true;
      this.tell({ isWholeLog: true });
      void this.ask();
      // What has changed since it was fetched: the server lists the newest runs only, and only to a new connection.
      void this.api.run(this.runId).then(
        run => this.take(run),
        () => undefined
      );
    } else {
      this.tell();
    }
  }

  /** Nothing changes anymore: keep no connection for it. */
  private async settle(): Promise<void> {
    if (this._socket !== null && !this.canChange) {
      this.unfollow();
      if (!this._isDeleted) {
        await this.fetch().catch(() => undefined); // the last points and lines; those shown so far remain
      }
    }
  }

  private receive(socket: LiveSocket, message: ServerMessage): void {
    switch (message.kind) {
      case 'runs':
        this.take(message.runs.find(({ id }) => id === this.runId));
        break;
      case 'runs_removed':
        if (message.run_ids.includes(this.runId)) {
          this._isDeleted = true;
          this.tell();
          void this.settle();
        }
        break;
      case 'series':
        if (message.number === this._number && !this._curves.apply(message.patches)) {
          this.watch(socket); // points in between never came
        }
        break;
      case 'log':
        if (message.number === this._number) {
          this.tell({ log: message.lines });
        }
        break;
      case 'history_watched':
        if (message.run_id === null || message.number === this._number) {
          this._failure = message.failure?.message ?? '';
          this.tell({ isWholeLog: message.failure === null });
        }
        break;
      default:
        break;
    }
  }

  private take(run: RunRecord | undefined): void {
    if (run === undefined || this._isDisposed) {
      return;
    }
    const hasEnded = this._run !== null && isLive(this._run.state) && !isLive(run.state);
    // An idle session says every two seconds that it is alive: the charts need not ask for their marks again.
    if (this._run === null || hasChanged(this._run, run)) {
      this._run = run;
      this._changed.emit();
      this.tell();
    }
    if (hasEnded) {
      // What the session allows now; or its kernel is gone.
      void this.ask().then(() => this.settle());
    } else if (this._session.state === 'failed' && isLive(run.state)) {
      void this.ask(); // it trains, so the kernel was only slow
    }
  }

  private ask(): Promise<void> {
    this._asked = this._session.refresh();
    return this._asked;
  }

  private tell(news: Partial<News> = {}): void {
    if (!this._isDisposed) {
      this._news.emit({ ...ONLY_THE_RECORD, ...news });
    }
  }

  private readonly _news = new Signal<this, News>(this);
  private readonly _changed = new Signal<this, void>(this);
  private readonly _curves = new Curves();
  private readonly _session: SessionModel;
  private _ended: EndedTraining | null;
  private _run: RunRecord | null = null;
  private _asked: Promise<void> = Promise.resolve();
  private _socket: LiveSocket | null = null;
  /** Of the watch of the run, on the connection of all outputs. */
  private _number = 0;
  private _wasOpen = false;
  private _isDeleted = false;
  private _isDisposed = false;
  private _failure = '';
}

function hasChanged(before: RunRecord, now: RunRecord): boolean {
  return JSON.stringify({ ...before, updated_at: 0 }) !== JSON.stringify({ ...now, updated_at: 0 });
}
