import type { AnyModel } from '@anywidget/types';

import { ChartGrid } from '../chart';
import { gpuBusy, gpuMemory, isLive, isSlowed, SLOWED, STATE_WORDS, warningLines } from '../live/words';
import type { Command, CommandRequest, Hello, Reply, SessionRecord, Snapshot, Update } from '../protocol';
import { PROTOCOL_VERSION } from '../protocol';
import { decodePatches } from './buffers';
import { Controls } from './controls';
import { LogPane } from './log';
import { ProgressView } from './progress';
import { StuckNotice } from './stuck';
import { injectLiveStyle } from './style';

const HELLO_AGAIN_MS = 3000;

/** One view of a running training: says hello to the kernel, shows its answers, and sends the user's commands. */
export class LiveView {
  private readonly controller = new AbortController();
  private readonly root = part('div', 'dj-live');
  private readonly entrypoint = part('span', 'dj-live-entrypoint');
  private readonly status = part('span', 'dj-live-status');
  private readonly badge = part('span', 'dj-live-badge');
  private readonly slowed = part('span', 'dj-live-slowed');
  private readonly device = part('span', 'dj-live-device');
  private readonly progress = new ProgressView();
  private readonly message = part('div', 'dj-live-message');
  private readonly warnings = part('div', 'dj-live-message dj-live-warnings');
  private readonly error = part('div', 'dj-live-error');
  private readonly charts: ChartGrid;
  private readonly controls: Controls;
  private readonly log: LogPane;
  private readonly stuck = new StuckNotice();
  private readonly hellos: number;
  private session: SessionRecord | null = null;
  private commandIds = 0;
  private refusedId: number | null = null;

  constructor(
    private readonly model: AnyModel,
    el: HTMLElement
  ) {
    const { signal } = this.controller;
    this.root.tabIndex = 0;
    this.root.dataset['djState'] = 'waiting';
    this.root.dataset['lmSuppressShortcuts'] = 'true'; // or X would cut the cell in JupyterLab
    this.root.setAttribute('role', 'group');
    this.root.setAttribute('aria-label', 'Training, live');
    this.status.setAttribute('role', 'status');
    this.status.append(this.badge, this.slowed);
    this.slowed.title = SLOWED.title;
    this.message.setAttribute('aria-live', 'polite');
    this.warnings.setAttribute('role', 'status');
    this.error.setAttribute('role', 'alert');
    this.controls = new Controls(this.root, command => this.send(command), signal);
    this.log = new LogPane(signal);
    const head = part('div', 'dj-live-head');
    head.append(this.status, this.entrypoint, this.device);
    const charts = part('div', 'dj-live-charts');
    this.root.append(
      head,
      this.controls.element, // above all that grows and shrinks, so that no button moves under the pointer
      this.progress.bar,
      this.progress.facts,
      this.stuck.element,
      this.message,
      this.warnings,
      this.error,
      charts,
      this.log.element
    );
    el.append(this.root);
    injectLiveStyle(el);
    this.charts = new ChartGrid(charts);
    this.badge.textContent = 'Waiting';

    model.on('msg:custom', this.receive);
    model.on('comm_live_update', this.disconnected);
    this.hello();
    this.hellos = window.setInterval(() => this.helloAgain(), HELLO_AGAIN_MS);
  }

  dispose(): void {
    window.clearInterval(this.hellos);
    this.model.off('msg:custom', this.receive);
    this.model.off('comm_live_update', this.disconnected);
    this.controller.abort();
    this.charts.dispose();
    this.root.remove();
  }

  private readonly receive = (message: Snapshot | Update | Reply, buffers: DataView[]): void => {
    switch (message.kind) {
      case 'snapshot':
        if (message.protocol !== PROTOCOL_VERSION) {
          this.say(
            `This page uses version ${PROTOCOL_VERSION} of the protocol, the kernel version ${message.protocol}. Reload the page; if that does not help, restart the kernel.`
          );
        } else if (this.session === null) {
          this.say('');
        }
        this.charts.clear();
        this.log.clear();
        this.update(message, buffers);
        break;
      case 'update':
        // An update before the snapshot continues nothing.
        if (this.session !== null) {
          this.update(message, buffers);
        }
        break;
      case 'reply':
        this.reply(message);
        break;
    }
  };

  private readonly disconnected = (): void => {
    this.controls.answered(null);
    if (this.session !== null) {
      const { session } = this;
      const state = isLive(session.state) ? 'interrupted' : session.state;
      this.show({ ...session, state, activity: 'idle', allowed: [], slowed: false, stuck: null });
    }
    const hasRun = (this.session?.run_id ?? null) !== null;
    this.say(`The kernel is gone.${hasRun ? ' The run so far is in the history: %det_runs.' : ''}`);
  };

  private update({ session, patches, log }: Snapshot | Update, buffers: readonly DataView[]): void {
    const failed = session.state === 'failed' && this.session?.state !== 'failed';
    this.session = session;
    this.charts.apply(decodePatches(patches, buffers));
    this.log.append(log);
    this.show(session);
    if (failed) {
      this.log.open();
    }
  }

  private show(session: SessionRecord): void {
    this.root.dataset['djState'] = session.state;
    this.root.dataset['djActivity'] = session.activity;
    setText(this.badge, STATE_WORDS[session.state]);
    this.showSlowed(isSlowed(session));
    this.stuck.show(session.stuck);
    setText(this.entrypoint, session.entrypoint);
    this.entrypoint.title = `${session.entrypoint} in ${session.definition_root}`;
    setText(this.device, deviceText(session));
    this.device.title = session.gpu?.name ?? session.device;
    this.controls.show(session.allowed);
    this.progress.show(session);
    setText(this.warnings, warningLines(session).join('\n'));
    this.error.hidden = session.error === null;
    if (session.error !== null && this.error.dataset['djError'] !== session.error.message) {
      this.error.dataset['djError'] = session.error.message;
      const summary = part('strong', 'dj-live-error-summary');
      summary.textContent = session.error.message;
      const traceback = part('pre', 'dj-live-traceback');
      traceback.textContent = session.error.traceback.trimEnd();
      traceback.hidden = session.error.traceback === '';
      const hint = part('div', 'dj-live-hint');
      hint.append(...withCode(session.error.hint ?? ''));
      hint.hidden = session.error.hint === null;
      this.error.replaceChildren(summary, traceback, hint);
    }
  }

  private showSlowed(slowed: boolean): void {
    this.root.dataset['djSlowed'] = String(slowed);
    setText(this.slowed, slowed ? SLOWED.label : '');
  }

  private reply({ id, error }: Reply): void {
    this.controls.answered(id);
    if (error !== null) {
      this.refusedId = id;
      this.say(error);
    } else if (this.refusedId !== null) {
      this.refusedId = null;
      this.say('');
    }
  }

  private send(command: Command): number {
    const id = (this.commandIds += 1);
    const request: CommandRequest = { kind: 'command', id, command: { ...command } };
    this.model.send(request);
    return id;
  }

  private hello(): void {
    const hello: Hello = { kind: 'hello' };
    this.model.send(hello);
  }

  private helloAgain(): void {
    if (this.session !== null) {
      window.clearInterval(this.hellos);
      return;
    }
    this.say('Waiting for the kernel: it may be busy with a cell.');
    this.hello();
  }

  private say(text: string): void {
    setText(this.message, text);
    this.message.hidden = text === '';
  }
}

function deviceText({ device, gpu }: SessionRecord): string {
  return [device, gpu && gpuMemory(gpu), gpu && gpuBusy(gpu)].filter(Boolean).join(' · ');
}

function part<K extends keyof HTMLElementTagNameMap>(tag: K, className: string): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

/** Return the parts of a text in which what is between backticks is code. */
function withCode(text: string): Array<string | HTMLElement> {
  return text.split('`').map((content, index) => {
    if (index % 2 === 0) {
      return content;
    }
    const code = document.createElement('code');
    code.textContent = content;
    return code;
  });
}

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
