import type { AnyModel } from '@anywidget/types';

import { ChartGrid, formatBytes, injectStyle, toNumber } from '../chart';
import type {
  Command,
  CommandRequest,
  Hello,
  Reply,
  SessionRecord,
  Snapshot,
  State,
  Update
} from '../protocol';
import { PROTOCOL_VERSION } from '../protocol';
import { decodePatches } from './buffers';
import { Controls } from './controls';
import { LogPane } from './log';
import { progressOf } from './progress';
import { CSS } from './style';

const HELLO_AGAIN_MS = 3000;
const STATE_WORDS: Record<State, string> = {
  ready: 'Ready',
  running: 'Running',
  paused: 'Paused',
  finished: 'Finished',
  stopped: 'Stopped',
  failed: 'Failed',
  interrupted: 'Interrupted'
};

/** One view of a running training: says hello to the kernel, shows what comes back, and sends what the person asks for. */
export class LiveView {
  private readonly controller = new AbortController();
  private readonly root = part('div', 'dj-live');
  private readonly entrypoint = part('span', 'dj-live-entrypoint');
  private readonly badge = part('span', 'dj-live-badge');
  private readonly device = part('span', 'dj-live-device');
  private readonly bar = part('div', 'dj-live-bar');
  private readonly facts = part('div', 'dj-live-facts');
  private readonly message = part('div', 'dj-live-message');
  private readonly error = part('div', 'dj-live-error');
  private readonly charts: ChartGrid;
  private readonly controls: Controls;
  private readonly log: LogPane;
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
    this.badge.setAttribute('role', 'status');
    this.bar.setAttribute('role', 'progressbar');
    this.bar.setAttribute('aria-label', 'Training progress');
    this.message.setAttribute('aria-live', 'polite');
    this.error.setAttribute('role', 'alert');
    this.controls = new Controls(this.root, command => this.send(command), signal);
    this.log = new LogPane(signal);
    const head = part('div', 'dj-live-head');
    head.append(this.badge, this.entrypoint, this.device);
    const charts = part('div', 'dj-live-charts');
    this.root.append(
      head,
      this.bar,
      this.facts,
      this.controls.element,
      this.message,
      this.error,
      charts,
      this.log.element
    );
    el.append(this.root);
    injectStyle(el, 'live', CSS);
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
            `This page speaks version ${PROTOCOL_VERSION} of the protocol, the kernel version ${message.protocol}: reload the page, and restart the kernel if that does not help.`
          );
        } else if (this.session === null) {
          this.say('');
        }
        this.charts.clear();
        this.log.clear();
        this.update(message, buffers);
        break;
      case 'update':
        // What comes before the snapshot is a continuation of nothing.
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
    this.controls.show(this.session?.state ?? 'ready', false);
    this.say('The kernel is gone. What was trained up to then is in the history: %det_runs.');
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
    setText(this.entrypoint, session.entrypoint);
    this.entrypoint.title = `${session.entrypoint} in ${session.definition_root}`;
    setText(this.device, deviceText(session));
    this.device.title = session.gpu?.name ?? session.device;
    this.controls.show(session.state, true);
    this.showProgress(session);
    this.error.hidden = session.error === null;
    if (session.error !== null && this.error.dataset['djError'] !== session.error.message) {
      this.error.dataset['djError'] = session.error.message;
      const summary = part('strong', 'dj-live-error-summary');
      summary.textContent = session.error.message;
      const traceback = part('pre', 'dj-live-traceback');
      traceback.textContent = session.error.traceback.trimEnd();
      traceback.hidden = session.error.traceback === '';
      const hint = part('div', 'dj-live-hint');
      hint.textContent = session.error.hint ?? '';
      hint.hidden = session.error.hint === null;
      this.error.replaceChildren(summary, traceback, hint);
    }
  }

  private showProgress(session: SessionRecord): void {
    const progress = progressOf(session);
    this.bar.style.setProperty('--dj-fraction', String(progress.fraction ?? 0));
    this.bar.setAttribute('aria-valuemin', '0');
    this.bar.setAttribute('aria-valuemax', '100');
    if (progress.fraction === null) {
      this.bar.removeAttribute('aria-valuenow');
    } else {
      this.bar.setAttribute('aria-valuenow', String(Math.floor(100 * progress.fraction)));
    }
    const { percent, epoch, batch, eta, elapsed, speed, activity } = progress;
    this.bar.setAttribute('aria-valuetext', [percent, epoch, batch, eta].filter(Boolean).join(', '));
    const facts = Object.entries({ percent, epoch, batch, eta, elapsed, speed, activity });
    for (const [name, text] of facts) {
      let fact = this.facts.querySelector<HTMLElement>(`[data-dj-fact="${name}"]`);
      if (fact === null) {
        fact = part('span', 'dj-live-fact');
        fact.dataset['djFact'] = name;
        this.facts.append(fact);
      }
      fact.hidden = text === '';
      setText(fact, text);
    }
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
  if (gpu === null) {
    return device;
  }
  const memory = `${formatBytes(gpu.memory_used_bytes)} / ${formatBytes(gpu.memory_total_bytes)}`;
  const utilisation = gpu.utilisation === null ? '' : ` · ${Math.round(toNumber(gpu.utilisation))}%`;
  return `${device} · ${memory}${utilisation}`;
}

function part<K extends keyof HTMLElementTagNameMap>(tag: K, className: string): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
