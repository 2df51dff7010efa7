/** What the active notebook's kernel has loaded, and the session that the Live section shows and steers. */
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

import type { CardRecord, Command, KernelReply, RunRecord, SessionRecord, State } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../api';
import type { RunsModel } from './runs';

/** A session as it is now, with its run if it has trained. `steerable`: its kernel holds it, so commands reach it. */
export interface Current {
  session: SessionRecord;
  run: RunRecord | null;
  state: State;
  steerable: boolean;
}

const ASK_AGAIN_MS = 2500;
/** A reload imports whatever the code imports; the pauses between questions grow up to this. */
const LONGEST_RELOAD_MS = 20_000;

const NOTHING: KernelReply = {
  kind: 'kernel',
  loaded: false,
  sessions: [],
  cards: [],
  definition_path: null,
  accepted: false,
  error: null
};

export type CommandKind = Command['kind'];

export class SessionModel {
  constructor(api: Api, runs: RunsModel) {
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
    return this._sending;
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
    window.clearTimeout(this._timer);
    if (!this.loaded) {
      // A kernel that imports a framework is late to answer, and is then taken for one without detjupyter.
      this._timer = window.setTimeout(() => void this.refresh(), ASK_AGAIN_MS);
    }
  }

  /** Forget what the kernel had loaded: its process is gone. */
  forget(): void {
    this._turn++;
    this._reply = null;
    this._error = null;
    this._refusal = null;
    this._sending = null;
    this._askAfterMs = 0;
    this._askPauseMs = ASK_AGAIN_MS;
    window.clearTimeout(this._timer);
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

  /** Whether the command makes sense now. */
  can(kind: CommandKind): boolean {
    const current = this._current;
    if (current === null || !current.steerable) {
      return false;
    }
    switch (kind) {
      case 'pause':
        return current.state === 'running';
      case 'resume':
        // A step beside any training ends paused too, with nothing to go on with.
        return current.state === 'paused' && current.session.plan_target_batches !== null;
      case 'stop':
        return isLive(current.state);
      case 'step':
        return current.state !== 'running';
      case 'validate':
        return current.session.activity !== 'validating';
      case 'checkpoint':
        return current.session.activity !== 'checkpointing';
      case 'reload':
        return this._sending !== 'reload';
    }
  }

  async send(command: Command): Promise<void> {
    const kernelId = this._kernelId;
    if (kernelId === null || !this.can(command.kind)) {
      return;
    }
    const turn = ++this._turn;
    let reply: KernelReply | null = null;
    let refusal: Error | null = null;
    this._sending = command.kind;
    this._changed.emit();
    try {
      reply = await this._api.command(kernelId, this._current?.session.session_id ?? null, command);
    } catch (error) {
      refusal = error as Error;
    }
    if (kernelId !== this._kernelId) {
      return;
    }
    this._sending = null;
    this._refusal = refusal === null ? null : { kind: command.kind, error: refusal };
    if (command.kind === 'reload' && reply?.accepted === true) {
      void this.awaitReload(this.card);
    }
    // A later question may have been answered meanwhile; then this answer is only good for its refusal.
    if (reply !== null && turn === this._turn) {
      this.take(reply);
    } else {
      this._changed.emit();
    }
  }

  /** Ask until a reload that was accepted is over: the card is another one then, or has a note of why it is not. */
  private async awaitReload(before: CardRecord | null): Promise<void> {
    const kernelId = this._kernelId;
    this._sending = 'reload';
    for (let pauseMs = 500; pauseMs < LONGEST_RELOAD_MS; pauseMs *= 1.3) {
      await new Promise(resolve => window.setTimeout(resolve, pauseMs));
      if (kernelId !== this._kernelId || this._sending !== 'reload') {
        return;
      }
      await this.refresh();
      const card = this.card;
      if (card?.loaded_at !== before?.loaded_at || card?.notes.join() !== before?.notes.join()) {
        break;
      }
    }
    if (this._sending === 'reload') {
      this._sending = null;
      this._changed.emit();
    }
  }

  dispose(): void {
    this._turn++;
    this._sending = null;
    window.clearTimeout(this._timer);
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

  /** Ask the kernel when it trains a session that it has not told of: it began since, or the answer did not come. */
  private askForUnknown(): void {
    const newest = this._kernelId === null ? null : this._runs.newestOf(this._kernelId);
    const session = newest?.session ?? null;
    if (session === null || this._reply === null || !isLive(session.state)) {
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
      // The store and the kernel both speak of it: the one that spoke last is right.
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
    // It had no run when the kernel was asked. Ids of sessions come again after a restart, so only what trains now can be its run.
    return newest.session?.session_id === held.session_id && isLive(newest.state) ? newest : null;
  }

  private readonly _api: Api;
  private readonly _runs: RunsModel;
  private readonly _changed = new Signal<this, void>(this);
  private _kernelId: string | null = null;
  private _reply: KernelReply | null = null;
  private _freshest: SessionRecord | null = null;
  private _stored: SessionRecord | null = null;
  private _current: Current | null = null;
  private _error: Error | null = null;
  private _refusal: { kind: CommandKind; error: Error } | null = null;
  private _sending: CommandKind | null = null;
  private _askAfterMs = 0;
  private _askPauseMs = ASK_AGAIN_MS;
  private _timer = 0;
  private _turn = 0;
}

function isLive(state: State): boolean {
  return state === 'running' || state === 'paused';
}
