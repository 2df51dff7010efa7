import { ChartGrid, type ChartOptions, type ChartPatch } from '../chart';
import { gpuBusy, gpuMemory, isSlowed, SLOWED, STATE_WORDS, warningLines } from '../live/words';
import type { Command, LogLine, SessionRecord } from '../protocol';
import { Controls } from './controls';
import { part, setText, withCode } from './dom';
import { LogPane } from './log';
import { ProgressView } from './progress';
import { StuckNotice } from './stuck';

/**
 * A training in the output of a cell: state, buttons, progress, curves, log.
 *
 * Where its data come from is another matter: from the kernel (`widgets/`) or from the server (`src/output/`).
 */
export class LiveView {
  readonly #controller = new AbortController();
  readonly #root = part('div', 'dj-live');
  readonly #entrypoint = part('span', 'dj-live-entrypoint');
  readonly #status = part('span', 'dj-live-status');
  readonly #badge = part('span', 'dj-live-badge');
  readonly #slowed = part('span', 'dj-live-slowed');
  readonly #device = part('span', 'dj-live-device');
  readonly #progress = new ProgressView();
  readonly #message = part('div', 'dj-live-message');
  readonly #warnings = part('div', 'dj-live-message dj-live-warnings');
  readonly #error = part('div', 'dj-live-error');
  readonly #charts: ChartGrid;
  readonly #controls: Controls;
  readonly #log: LogPane;
  readonly #stuck = new StuckNotice();
  #session: SessionRecord | null = null;
  #refusedId: number | null = null;

  /**
   * @param el - Where the view goes.
   * @param send - Sends a command and returns its id; `answered` gets the answer.
   * @param options - Of the charts.
   */
  constructor(el: HTMLElement, send: (command: Command) => number, options?: ChartOptions) {
    const { signal } = this.#controller;
    this.#root.tabIndex = 0;
    this.#root.dataset['djState'] = 'waiting';
    this.#root.dataset['lmSuppressShortcuts'] = 'true'; // or X would cut the cell in JupyterLab
    this.#root.setAttribute('role', 'group');
    this.#root.setAttribute('aria-label', 'Training, live');
    this.#status.setAttribute('role', 'status');
    this.#status.append(this.#badge, this.#slowed);
    this.#slowed.title = SLOWED.title;
    this.#message.setAttribute('aria-live', 'polite');
    this.#warnings.setAttribute('role', 'status');
    this.#error.setAttribute('role', 'alert');
    this.#controls = new Controls(this.#root, send, signal);
    this.#log = new LogPane(signal);
    const head = part('div', 'dj-live-head');
    head.append(this.#status, this.#entrypoint, this.#device);
    const charts = part('div', 'dj-live-charts');
    this.#root.append(
      head,
      this.#controls.element, // above all that grows and shrinks, so that no button moves under the pointer
      this.#progress.bar,
      this.#progress.line,
      this.#stuck.element,
      this.#message,
      this.#warnings,
      this.#error,
      charts,
      this.#log.element
    );
    el.append(this.#root);
    this.#charts = new ChartGrid(charts, options);
    this.#badge.textContent = 'Waiting';
  }

  dispose(): void {
    this.#controller.abort();
    this.#charts.dispose();
    this.#root.remove();
  }

  /** Forget the log: all of it comes again. Curves that come again replace their points, and keep what was zoomed to. */
  clearLog(): void {
    this.#log.clear();
  }

  /** Show what is new. */
  update(session: SessionRecord, patches: readonly ChartPatch[], log: readonly LogLine[]): void {
    const failed = session.state === 'failed' && this.#session?.state !== 'failed';
    this.#session = session;
    this.#charts.apply(patches);
    this.#log.append(log);
    this.#show(session);
    if (failed) {
      this.#log.open();
    }
  }

  /** The command `id` has ended, with this error if it was refused or failed; null: no command will be answered anymore. */
  answered(id: number | null, error: string | null): void {
    this.#controls.answered(id);
    if (error !== null) {
      this.#refusedId = id;
      this.say(error);
    } else if (this.#refusedId !== null) {
      this.#refusedId = null;
      this.say('');
    }
  }

  /** Say something above the curves; '' says nothing. */
  say(text: string): void {
    setText(this.#message, text);
    this.#message.hidden = text === '';
  }

  #show(session: SessionRecord): void {
    this.#root.dataset['djState'] = session.state;
    this.#root.dataset['djActivity'] = session.activity;
    setText(this.#badge, STATE_WORDS[session.state]);
    this.#showSlowed(isSlowed(session));
    this.#stuck.show(session.stuck);
    setText(this.#entrypoint, session.entrypoint);
    this.#entrypoint.title = `${session.entrypoint} in ${session.definition_root}`;
    setText(this.#device, deviceText(session));
    this.#device.title = session.gpu?.name ?? session.device;
    this.#controls.show(session.allowed);
    this.#progress.show(session);
    setText(this.#warnings, warningLines(session).join('\n'));
    this.#error.hidden = session.error === null;
    if (session.error !== null && this.#error.dataset['djError'] !== session.error.message) {
      this.#error.dataset['djError'] = session.error.message;
      const summary = part('strong', 'dj-live-error-summary');
      summary.textContent = session.error.message;
      const traceback = part('pre', 'dj-live-traceback');
      traceback.textContent = session.error.traceback.trimEnd();
      traceback.hidden = session.error.traceback === '';
      const hint = part('div', 'dj-live-hint');
      hint.append(...withCode(session.error.hint ?? ''));
      hint.hidden = session.error.hint === null;
      this.#error.replaceChildren(summary, traceback, hint);
    }
  }

  #showSlowed(slowed: boolean): void {
    this.#root.dataset['djSlowed'] = String(slowed);
    setText(this.#slowed, slowed ? SLOWED.label : '');
  }
}

function deviceText({ device, gpu }: SessionRecord): string {
  return [device, gpu && gpuMemory(gpu), gpu && gpuBusy(gpu)].filter(Boolean).join(' · ');
}
