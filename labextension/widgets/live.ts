import type { AnyModel } from '@anywidget/types';

import { isLive } from '../live/words';
import { LiveView } from '../output/view';
import type { Command, CommandRequest, Hello, Reply, SessionRecord, Snapshot, Update } from '../protocol';
import { PROTOCOL_VERSION } from '../protocol';
import { decodePatches } from './buffers';
import { injectLiveStyle } from './style';

const HELLO_AGAIN_MS = 3000;

/** Connects a view with the kernel: says hello, shows the answers, and sends the user's commands. */
class KernelLink {
  readonly #model: AnyModel;
  readonly #view: LiveView;
  readonly #hellos: number;
  #session: SessionRecord | null = null;
  #commandIds = 0;

  constructor(model: AnyModel, el: HTMLElement) {
    this.#model = model;
    this.#view = new LiveView(el, command => this.#send(command));
    injectLiveStyle(el);
    model.on('msg:custom', this.#receive);
    model.on('comm_live_update', this.#disconnected);
    this.#hello();
    this.#hellos = window.setInterval(() => this.#helloAgain(), HELLO_AGAIN_MS);
  }

  dispose(): void {
    window.clearInterval(this.#hellos);
    this.#model.off('msg:custom', this.#receive);
    this.#model.off('comm_live_update', this.#disconnected);
    this.#view.dispose();
  }

  readonly #receive = (message: Snapshot | Update | Reply, buffers: DataView[]): void => {
    switch (message.kind) {
      case 'snapshot':
        if (message.protocol !== PROTOCOL_VERSION) {
          this.#view.say(
            `This page uses version ${PROTOCOL_VERSION} of the protocol, the kernel version ${message.protocol}. Reload the page; if that does not help, restart the kernel.`
          );
        } else if (this.#session === null) {
          this.#view.say('');
        }
        this.#view.clearLog();
        this.#update(message, buffers);
        break;
      case 'update':
        // An update before the snapshot continues nothing.
        if (this.#session !== null) {
          this.#update(message, buffers);
        }
        break;
      case 'reply':
        this.#view.answered(message.id, message.error);
        break;
    }
  };

  readonly #disconnected = (): void => {
    const session = this.#session;
    this.#view.answered(null, null);
    if (session !== null) {
      const state = isLive(session.state) ? 'interrupted' : session.state;
      this.#view.update(
        { ...session, state, activity: 'idle', allowed: [], slowed: false, stuck: null },
        [],
        []
      );
    }
    const hasRun = (session?.run_id ?? null) !== null;
    this.#view.say(`The kernel is gone.${hasRun ? ' The run so far is in the history: %det_runs.' : ''}`);
  };

  #update({ session, patches, log }: Snapshot | Update, buffers: readonly DataView[]): void {
    this.#session = session;
    this.#view.update(session, decodePatches(patches, buffers), log);
  }

  #send(command: Command): number {
    const id = (this.#commandIds += 1);
    const request: CommandRequest = { kind: 'command', id, command: { ...command } };
    this.#model.send(request);
    return id;
  }

  #hello(): void {
    const hello: Hello = { kind: 'hello' };
    this.#model.send(hello);
  }

  #helloAgain(): void {
    if (this.#session !== null) {
      window.clearInterval(this.#hellos);
      return;
    }
    this.#view.say('Waiting for the kernel: it may be busy with a cell.');
    this.#hello();
  }
}

/** The front end of `detjupyter.widgets.live.LiveView`; anywidget calls `render` for every view and the result when it goes. */
export default {
  render({ model, el }: { model: AnyModel; el: HTMLElement }): () => void {
    const link = new KernelLink(model, el);
    return () => link.dispose();
  }
};
