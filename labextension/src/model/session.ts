/** What the active notebook's kernel has loaded, and the one of its sessions that the Live section shows and steers. */
import { Debouncer } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { allows } from '../../live/controls';
import { isLive } from '../../live/words';
import type {
  CardRecord,
  Command,
  CommandKind,
  CommandOutcome,
  KernelReply,
  RunRecord,
  SessionRecord,
  State
} from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../errors';

/** The runs that a session model looks in. */
export interface KnownRuns {
  readonly changed: ISignal<unknown, void>;
  get(runId: string): RunRecord | null;
  /** Return the newest run that this kernel trained, in the session if one is named. */
  newestOf(kernelId: string, sessionId?: string | null): RunRecord | null;
}

/** A session as it is now, with its run if it has trained. `steerable`: its kernel holds it, so commands reach it. */
export interface Current {
  session: SessionRecord;
  run: RunRecord | null;
  state: State;
  steerable: boolean;
}

/** A command, and the session that it was sent to. */
interface Sent {
  sessionId: string;
  command: Command;
}

const ASK_AGAIN_MS = 2500;
/** A command can take long (a reload imports whatever the code imports): the pauses between questions grow up to this. */
const FIRST_OUTCOME_PAUSE_MS = 500;
const LONGEST_OUTCOME_PAUSE_MS = 20_000;
/** These replace the state of the trial: a second one is not offered until the first has ended. */
const ONE_AT_A_TIME: readonly CommandKind[] = ['reload', 'restore'];

const NOTHING: KernelReply = {
  kind: 'kernel',
  loaded: false,
  sessions: [],
  cards: [],
  definition_paths: [],
  accepted: false,
  error: null,
  ticket: null,
  outcomes: []
};

export class SessionModel {
  constructor(api: Pick<Api, 'kernel' | 'command'>, runs: KnownRuns) {
    this._api = api;
    this._runs = runs;
    runs.changed.connect(this.onRuns, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get kernelId(): string | null {
    return this._kernelId;
  }

  /** `none`: no kernel. `unknown`: it has not answered yet, or is restarting. `failed`: it never answered. */
  get state(): 'none' | 'unknown' | 'ready' | 'failed' {
    if (this._kernelId === null) {
      return 'none';
    }
    if (this._reply !== null) {
      return 'ready';
    }
    return this._error === null ? 'unknown' : 'failed';
  }

  /** Whether the kernel has loaded detjupyter. */
  get loaded(): boolean {
    return this._reply?.loaded ?? false;
  }

  /** Whether the kernel was asked since it began. */
  get asked(): boolean {
    return this._reply !== NOTHING;
  }

  /** All sessions that the kernel holds, as they are now; its current one is the last. */
  get sessions(): readonly SessionRecord[] {
    return this._sessions;
  }

  /** The card of the class of the session that is shown. */
  get card(): CardRecord | null {
    const cards = this._reply?.cards ?? [];
    // A script that reports is a session without a card.
    return cards[this.shownIndex()] ?? cards.at(-1) ?? null;
  }

  /** The directory of what is shown, relative to the server's root; null if nothing is loaded, or if it lies outside. */
  get definitionPath(): string | null {
    return this._reply?.definition_paths[this.shownIndex()] ?? null;
  }

  get error(): Error | null {
    return this._error;
  }

  /** The last command to the session, if it was refused or failed, and why; null again when another one is accepted. */
  get refusal(): { command: Command; error: Error } | null {
    const { _refusal: refusal } = this;
    return refusal !== null && this.isShown(refusal.sent)
      ? { command: refusal.sent.command, error: refusal.error }
      : null;
  }

  /** The commands to the session that have not ended yet, in the order in which they were sent. */
  get underWay(): readonly Command[] {
    return this._underWay.filter(sent => this.isShown(sent)).map(({ command }) => command);
  }

  get current(): Current | null {
    return this._current;
  }

  /** Follow another kernel, or none; `ask` it unless it surely has not loaded detjupyter. */
  follow(kernelId: string | null, { ask }: { ask: boolean }): void {
    this._kernelId = kernelId;
    this.forget();
    if (ask || this.findRun() !== null) {
      void this.refresh();
    } else if (kernelId !== null) {
      this.take(NOTHING);
    }
  }

  /** Show another session of the kernel, until another one is loaded. */
  show(sessionId: string): void {
    this._chosen = sessionId;
    this._refusal = null;
    this.settle();
  }

  /** Ask again because a cell has run. */
  async refreshAfterCell(): Promise<void> {
    await this.refresh();
    if (this.loaded) {
      void this._askAgain.stop();
    } else if (!this._askAgain.isDisposed) {
      // A kernel that imports a framework answers late, and is then treated as one without detjupyter.
      void this._askAgain.invoke();
    }
  }

  /** Forget what the kernel had loaded: its process is gone. */
  forget(): void {
    this._turn++;
    this._process = {};
    this._reply = null;
    this._chosen = null;
    this._freshest.clear();
    this._error = null;
    this._refusal = null;
    this._underWay = [];
    this._askAfterMs = 0;
    this._askPauseMs = ASK_AGAIN_MS;
    void this._askAgain.stop();
    this.settle();
  }

  async refresh(): Promise<void> {
    const kernelId = this._kernelId;
    if (kernelId === null) {
      return;
    }
    const turn = ++this._turn;
    try {
      const reply = await this._api.kernel(kernelId);
      if (turn === this._turn) {
        this.take(reply);
      }
    } catch (error) {
      if (turn === this._turn) {
        // What it had loaded stays on display: a kernel in one long computation has only been silent, unless it is gone.
        this._error = error as Error;
        if (error instanceof AnswerError && error.status === 404) {
          this._reply = null;
          this._process = {};
          this._underWay = [];
        }
        this.settle();
      }
    }
  }

  /** Whether the command does something now: it reaches the kernel, and Python says that it is allowed. */
  can(kind: CommandKind): boolean {
    const current = this._current;
    if (current === null || !current.steerable || !allows(current.session.allowed, kind)) {
      return false;
    }
    return !ONE_AT_A_TIME.includes(kind) || !this.underWay.some(sent => sent.kind === kind);
  }

  /** Send a command, and return when it has ended: whether it was done. */
  async send(command: Command): Promise<boolean> {
    const kernelId = this._kernelId;
    const current = this._current;
    if (kernelId === null || current === null || !this.can(command.kind)) {
      return false;
    }
    const sent: Sent = { sessionId: current.session.session_id, command };
    const turn = ++this._turn;
    const process = this._process;
    let reply: KernelReply | null = null;
    let refusal: Error | null = null;
    this._underWay = [...this._underWay, sent];
    this._changed.emit();
    try {
      reply = await this._api.command(kernelId, sent.sessionId, command);
    } catch (error) {
      refusal = error as Error;
    }
    // Another kernel is shown by now, or the same one in a new process: this answer is about what is gone.
    if (process !== this._process) {
      return false;
    }
    if (reply?.accepted === true && reply.ticket !== null) {
      this._refusal = null;
      this.takeAt(turn, reply);
      const outcome = await this.outcomeOf(reply.ticket, process);
      if (outcome === null) {
        return false;
      }
      refusal = outcome.error === null ? null : new AnswerError(409, outcome.error, outcome.hint);
      reply = null;
    }
    this._underWay = this._underWay.filter(one => one !== sent);
    if (refusal !== null || reply !== null) {
      this._refusal = refusal === null ? null : { sent, error: refusal };
    }
    this.takeAt(turn, reply);
    return refusal === null;
  }

  /** Take the answer to a command, unless a later question may have been answered already. */
  private takeAt(turn: number, reply: KernelReply | null): void {
    if (reply !== null && turn === this._turn) {
      this.take(reply);
    } else {
      this._changed.emit();
    }
  }

  /** Ask until the kernel says how the command ended that it accepted with this ticket; null if its process is gone. */
  private async outcomeOf(ticket: number, process: object): Promise<CommandOutcome | null> {
    let pauseMs = FIRST_OUTCOME_PAUSE_MS;
    while (process === this._process) {
      const outcome = this._reply?.outcomes.find(one => one.ticket === ticket);
      if (outcome !== undefined) {
        return outcome;
      }
      await new Promise(resolve => setTimeout(resolve, pauseMs));
      if (process === this._process) {
        await this.refresh();
      }
      pauseMs = Math.min(1.3 * pauseMs, LONGEST_OUTCOME_PAUSE_MS);
    }
    return null;
  }

  dispose(): void {
    this._turn++;
    this._process = {};
    this._askAgain.dispose();
    Signal.clearData(this);
  }

  private take(reply: KernelReply): void {
    const before = this._reply?.sessions.at(-1)?.session_id;
    if (before !== reply.sessions.at(-1)?.session_id && holds(reply, before)) {
      this._chosen = null; // a cell has loaded another session
    }
    this._reply = reply;
    this._error = null;
    if (reply.sessions.length > 0) {
      this._askPauseMs = ASK_AGAIN_MS;
    }
    this._freshest.clear();
    this.settle();
  }

  /** Both the store and the kernel report a session: the newer report is right. */
  private onRuns(): void {
    this.askForUnknown();
    for (const held of this._reply?.sessions ?? []) {
      const stored = this.runOf(held)?.session ?? null;
      if (stored !== null && stored !== this._stored.get(held.session_id)) {
        this._stored.set(held.session_id, stored);
        this._freshest.set(held.session_id, stored);
      }
    }
    this.settle();
  }

  /** Ask the kernel when one of its runs is active that it has not named: the run began later, or the answer did not arrive. */
  private askForUnknown(): void {
    const newest = this._kernelId === null ? null : this._runs.newestOf(this._kernelId);
    const session = newest?.session ?? null;
    if (session === null || this._reply === null || !isAtWork(session)) {
      return;
    }
    const known = this._reply.sessions.some(({ run_id }) => run_id === newest?.id);
    if (!known && performance.now() >= this._askAfterMs) {
      this._askAfterMs = performance.now() + this._askPauseMs;
      this._askPauseMs *= 2;
      void this.refresh();
    }
  }

  private settle(): void {
    const held = this._reply?.sessions ?? [];
    this._sessions = held.map(one => this._freshest.get(one.session_id) ?? one);
    this._current = this.pick();
    this._changed.emit();
  }

  /** The session that the user has chosen, else the kernel's current one; without any, the last run of this kernel. */
  private pick(): Current | null {
    const session = this._sessions[this.shownIndex()];
    const run = this.findRun();
    if (session !== undefined) {
      return { session, run, state: session.state, steerable: true };
    }
    return run?.session ? { session: run.session, run, state: run.state, steerable: false } : null;
  }

  /** The index of the session that is shown among those that the kernel holds; -1 if it holds none. */
  private shownIndex(): number {
    const held = this._reply?.sessions ?? [];
    const chosen = held.findIndex(({ session_id }) => session_id === this._chosen);
    return chosen >= 0 ? chosen : held.length - 1;
  }

  private isShown({ sessionId }: Sent): boolean {
    return sessionId === this._current?.session.session_id;
  }

  private findRun(): RunRecord | null {
    const held = this._reply?.sessions[this.shownIndex()];
    if (held !== undefined) {
      return this.runOf(held);
    }
    return this._kernelId === null ? null : this._runs.newestOf(this._kernelId);
  }

  private runOf({ run_id, session_id }: SessionRecord): RunRecord | null {
    if (run_id) {
      return this._runs.get(run_id);
    }
    // It had no run when the kernel was asked. Session ids repeat after a restart, so only a run that is live now can be its run.
    const newest = this._kernelId === null ? null : this._runs.newestOf(this._kernelId, session_id);
    return newest !== null && isLive(newest.state) ? newest : null;
  }

  private readonly _api: Pick<Api, 'kernel' | 'command'>;
  private readonly _runs: KnownRuns;
  private readonly _askAgain = new Debouncer<void, void, []>(() => this.refresh(), ASK_AGAIN_MS);
  private readonly _changed = new Signal<this, void>(this);
  private _kernelId: string | null = null;
  private _reply: KernelReply | null = null;
  /** By session: what the store reports, if the kernel was not asked since. */
  private readonly _freshest = new Map<string, SessionRecord>();
  private readonly _stored = new Map<string, SessionRecord>();
  private _sessions: readonly SessionRecord[] = [];
  /** The session that the user wants to see; null: the kernel's current one. */
  private _chosen: string | null = null;
  private _current: Current | null = null;
  private _error: Error | null = null;
  private _refusal: { sent: Sent; error: Error } | null = null;
  private _underWay: readonly Sent[] = [];
  /** Identifies the kernel's process: a new object for each process. */
  private _process = {};
  private _askAfterMs = 0;
  private _askPauseMs = ASK_AGAIN_MS;
  private _turn = 0;
}

/** A session that does not train can also validate, or save a checkpoint. */
function isAtWork({ state, activity }: SessionRecord): boolean {
  return isLive(state) || activity !== 'idle';
}

function holds(reply: KernelReply, sessionId: string | undefined): boolean {
  return reply.sessions.some(({ session_id }) => session_id === sessionId);
}
