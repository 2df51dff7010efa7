/** What the active notebook's kernel has loaded, and the session that the Live section shows and steers. */
import { Debouncer } from '@lumino/polling';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import { allows } from '../../live/controls';
import { isLive } from '../../live/words';
import type {
  CardRecord,
  Command,
  CommandKind,
  KernelReply,
  RunRecord,
  SessionRecord,
  State
} from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../errors';
import type { RunsModel } from './runs';

/** A session as it is now, with its run if it has trained. `steerable`: its kernel holds it, so commands reach it. */
export interface Current {
  session: SessionRecord;
  run: RunRecord | null;
  state: State;
  steerable: boolean;
}

const ASK_AGAIN_MS = 2500;
/** A reload imports whatever the code imports, so it can take long: the pauses between questions grow up to this. */
const LONGEST_RELOAD_PAUSE_MS = 20_000;

const NOTHING: KernelReply = {
  kind: 'kernel',
  loaded: false,
  sessions: [],
  cards: [],
  definition_path: null,
  accepted: false,
  error: null
};

/** A command on its way. */
interface Sent {
  kind: CommandKind;
}

export class SessionModel {
  constructor(api: Pick<Api, 'kernel' | 'command'>, runs: Pick<RunsModel, 'changed' | 'get' | 'newestOf'>) {
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

  /** The card of the current session's class. */
  get card(): CardRecord | null {
    return this._reply?.cards.at(-1) ?? null;
  }

  /** The directory of what is loaded, relative to the server's root; null if nothing is, or if it lies outside. */
  get definitionPath(): string | null {
    return this._reply?.definition_path ?? null;
  }

  get error(): Error | null {
    return this._error;
  }

  /** Why the last command was refused, until one is accepted; `kind` is the command's. */
  get refusal(): { kind: CommandKind; error: Error } | null {
    return this._refusal;
  }

  /** The command that was sent and is not answered yet. */
  get sending(): CommandKind | null {
    return (this._sent ?? this._reload)?.kind ?? null;
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
    this._error = null;
    this._refusal = null;
    this._sent = null;
    this._reload = null;
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
    return kind !== 'reload' || (this._reload === null && this._sent?.kind !== 'reload');
  }

  async send(command: Command): Promise<void> {
    const kernelId = this._kernelId;
    if (kernelId === null || !this.can(command.kind)) {
      return;
    }
    const turn = ++this._turn;
    const process = this._process;
    const sent: Sent = { kind: command.kind };
    const { card } = this; // before the command: another question may have been answered with the new one by the time of its answer
    let reply: KernelReply | null = null;
    let refusal: Error | null = null;
    this._sent = sent;
    this._changed.emit();
    try {
      reply = await this._api.command(kernelId, this._current?.session.session_id ?? null, command);
    } catch (error) {
      refusal = error as Error;
    }
    // Another kernel is shown by now, or the same one in a new process: this answer is about what is gone.
    if (process !== this._process) {
      return;
    }
    // A command that was sent later is still on its way.
    if (this._sent === sent) {
      this._sent = null;
    }
    this._refusal = refusal === null ? null : { kind: command.kind, error: refusal };
    if (command.kind === 'reload' && reply?.accepted === true) {
      void this.awaitReload(sent, card);
    }
    // A later question may have been answered already. Then this answer is only good for its refusal.
    if (reply !== null && turn === this._turn) {
      this.take(reply);
    } else {
      this._changed.emit();
    }
  }

  /** Ask until a reload that was accepted is over: the card is another one then, or has a note of why it is not. */
  private async awaitReload(reload: Sent, before: CardRecord | null): Promise<void> {
    this._reload = reload;
    for (let pauseMs = 500; pauseMs < LONGEST_RELOAD_PAUSE_MS; pauseMs *= 1.3) {
      await new Promise(resolve => setTimeout(resolve, pauseMs));
      if (this._reload !== reload) {
        return;
      }
      await this.refresh();
      const { card } = this;
      if (card?.loaded_at !== before?.loaded_at || card?.notes.join() !== before?.notes.join()) {
        break;
      }
    }
    if (this._reload === reload) {
      this._reload = null;
      this._changed.emit();
    }
  }

  dispose(): void {
    this._turn++;
    this._reload = null;
    this._askAgain.dispose();
    Signal.clearData(this);
  }

  private take(reply: KernelReply): void {
    this._reply = reply;
    this._error = null;
    if (reply.sessions.length > 0) {
      this._askPauseMs = ASK_AGAIN_MS;
    }
    this._freshest = reply.sessions.at(-1) ?? null;
    this.settle();
  }

  private onRuns(): void {
    this.askForUnknown();
    const stored = this.findRun()?.session ?? null;
    if (stored !== this._stored) {
      this._stored = stored;
      this._freshest = stored;
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
    this._current = this.choose();
    this._changed.emit();
  }

  /** The kernel's current session if there is one, else the last run of this kernel. */
  private choose(): Current | null {
    const held = this._reply?.sessions.at(-1);
    const run = this.findRun();
    if (held !== undefined) {
      // Both the store and the kernel report it: the newer report is right.
      const session = this._freshest?.session_id === held.session_id ? this._freshest : held;
      return { session, run, state: session.state, steerable: true };
    }
    return run?.session ? { session: run.session, run, state: run.state, steerable: false } : null;
  }

  private findRun(): RunRecord | null {
    const held = this._reply?.sessions.at(-1);
    if (held?.run_id) {
      return this._runs.get(held.run_id);
    }
    const newest = this._kernelId === null ? null : this._runs.newestOf(this._kernelId);
    if (held === undefined || newest === null) {
      return newest;
    }
    // It had no run when the kernel was asked. Session ids repeat after a restart, so only a run that is live now can be its run.
    return newest.session?.session_id === held.session_id && isLive(newest.state) ? newest : null;
  }

  private readonly _api: Pick<Api, 'kernel' | 'command'>;
  private readonly _runs: Pick<RunsModel, 'changed' | 'get' | 'newestOf'>;
  private readonly _askAgain = new Debouncer<void, void, []>(() => this.refresh(), ASK_AGAIN_MS);
  private readonly _changed = new Signal<this, void>(this);
  private _kernelId: string | null = null;
  private _reply: KernelReply | null = null;
  private _freshest: SessionRecord | null = null;
  private _stored: SessionRecord | null = null;
  private _current: Current | null = null;
  private _error: Error | null = null;
  private _refusal: { kind: CommandKind; error: Error } | null = null;
  /** The newest command that is not answered yet. */
  private _sent: Sent | null = null;
  /** The reload that was accepted and is not over yet. */
  private _reload: Sent | null = null;
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
