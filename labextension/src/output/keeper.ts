/**
 * Pictures for front ends without us, in outputs that did not get the kernel's.
 *
 * At the end of a training its kernel replaces the output by the picture. A page that was reloaded before does not know anymore which output
 * that is, and a notebook that was closed is not there. Its file would show nothing outside JupyterLab.
 */
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { IOutputModel } from '@jupyterlab/rendermime';
import type { Contents } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Debouncer } from '@lumino/polling';
import { Signal } from '@lumino/signaling';

import { isLive } from '../../live/words';
import { RUN_MIME_TYPE } from '../../protocol';
import type { Api } from '../api';
import { AnswerError } from '../errors';
import type { ServerMessage } from '../messages';
import type { LiveSocket, SocketStatus } from '../socket';
import type { Feed } from './feed';
import { referenceIn } from './reference';

const PICTURES = ['image/svg+xml', 'image/png'];
const LOOK_AFTER_MS = 1000;
/** A kernel that still knows the output sends the picture itself. */
const KERNEL_FIRST_MS = 3000;
const CONFLICT = 409;
/** Clocks of files are compared as JupyterLab does. */
const SAME_TIME_MS = 500;

interface WithOutputs {
  readonly outputs: { readonly length: number; get(index: number): IOutputModel };
}

/** Keep the pictures of every notebook that is open. */
export function keepPictures(
  tracker: INotebookTracker,
  contents: Contents.IManager,
  api: Api,
  feed: Feed
): void {
  const keep = (panel: NotebookPanel): void => {
    const keeper = new PictureKeeper(panel, contents, api, feed);
    panel.disposed.connect(() => keeper.dispose());
  };
  tracker.forEach(keep);
  tracker.widgetAdded.connect((_, panel) => keep(panel));
}

/** The pictures of one notebook. Of several pages that show it, the first one writes them. */
class PictureKeeper implements IDisposable {
  constructor(
    private readonly panel: NotebookPanel,
    private readonly contents: Contents.IManager,
    private readonly api: Api,
    private readonly feed: Feed
  ) {
    this.begin().catch(() => undefined); // of a notebook that cannot be loaded
  }

  get isDisposed(): boolean {
    return this._over.signal.aborted;
  }

  dispose(): void {
    this._over.abort();
    this._looks.dispose();
    this.leave();
    Signal.clearData(this);
  }

  private async begin(): Promise<void> {
    const { context } = this.panel;
    await context.ready;
    await isFirst(`detjupyter:pictures:${this.api.settings.baseUrl}:${context.path}`, this._over.signal);
    if (!this.isDisposed) {
      context.model.contentChanged.connect(this.lookSoon, this);
      context.fileChanged.connect(this.onFile, this);
      void this.look();
    }
  }

  private lookSoon(): void {
    void this._looks.invoke();
  }

  /** The file was saved or read again. */
  private onFile(): void {
    this._postponed.clear();
    this.lookSoon();
  }

  /** Find the outputs without a picture, and wait for the ends of their runs. */
  private async look(): Promise<void> {
    const missing = this.isDisposed ? [] : outputsWithout(this.panel);
    const runIds = new Set(
      missing.map(({ runId }) => runId).filter(id => !this._refused.has(id) && !this._postponed.has(id))
    );
    if (runIds.size === 0) {
      this.leave();
      return;
    }
    if (this._socket === null) {
      this._socket = this.feed.join();
      this._socket.message.connect(this.receive, this);
      this._socket.statusChanged.connect(this.onStatus, this);
    }
    // One that was found before is in the messages of the connection.
    await Promise.all([...runIds].filter(id => !this._known.has(id)).map(id => this.ask(id)));
  }

  private async ask(runId: string): Promise<void> {
    this._known.add(runId);
    try {
      const { state } = await this.api.run(runId);
      if (!isLive(state)) {
        this.later(runId, () => void this.fill(runId));
      }
    } catch (error) {
      this.refuse(runId, error);
    }
  }

  private later(runId: string, act: () => void): void {
    if (!this.isDisposed && !this._timers.has(runId)) {
      const timer = window.setTimeout(() => {
        this._timers.delete(runId);
        act();
      }, KERNEL_FIRST_MS);
      this._timers.set(runId, timer);
    }
  }

  private receive(_: LiveSocket, message: ServerMessage): void {
    if (message.kind === 'runs') {
      for (const { id, state } of message.runs) {
        if (this._known.has(id) && !isLive(state)) {
          this.later(id, () => void this.fill(id));
        }
      }
    }
  }

  private onStatus(_: LiveSocket, status: SocketStatus): void {
    if (status === 'open') {
      this._known.clear(); // what has ended while there was no connection
      void this.look();
    }
  }

  /** Put the picture of the run into its outputs, if that does not lead to a question when the notebook is saved. */
  private async fill(runId: string): Promise<void> {
    if (!outputsWithout(this.panel).some(output => output.runId === runId)) {
      return;
    }
    try {
      if (await this.isChangedOnDisk()) {
        this._postponed.add(runId);
        await this.look();
        return;
      }
      const data = await this.api.picture(runId);
      // Of what is there now: a cell may have run while the server drew.
      for (const { output, runId: id } of this.isDisposed ? [] : outputsWithout(this.panel)) {
        if (id === runId) {
          output.setData({ data, metadata: {} });
        }
      }
    } catch (error) {
      this.refuse(runId, error);
    }
  }

  /** Whether someone else has saved the file: another browser, which may have the picture. */
  private async isChangedOnDisk(): Promise<boolean> {
    const { contentsModel, path } = this.panel.context;
    const now = await this.contents.get(path, { content: false });
    const known = Date.parse(contentsModel?.last_modified ?? '');
    return !(Date.parse(now.last_modified) - known <= SAME_TIME_MS);
  }

  /** A run that was deleted, or that another server has, gets no picture; one that trains again gets it when it ends. */
  private refuse(runId: string, error: unknown): void {
    if (!(error instanceof AnswerError) || error.status === CONFLICT) {
      return;
    }
    if (this._doubtful.has(runId)) {
      this._refused.add(runId);
      void this.look();
    } else {
      this._doubtful.add(runId);
      this.later(runId, () => void this.ask(runId)); // a run that has just begun can reach the history after its output
    }
  }

  private leave(): void {
    this._timers.forEach(timer => window.clearTimeout(timer));
    this._timers.clear();
    this._known.clear();
    if (this._socket !== null) {
      Signal.disconnectBetween(this._socket, this);
      this._socket = null;
      this.feed.leave();
    }
  }

  private readonly _over = new AbortController();
  private readonly _looks = new Debouncer<void, void, []>(() => this.look(), LOOK_AFTER_MS);
  /** The runs that were asked for; when one ends, the connection says so. */
  private readonly _known = new Set<string>();
  /** The runs that the server did not have at the first question. */
  private readonly _doubtful = new Set<string>();
  private readonly _refused = new Set<string>();
  /** The runs whose outputs are not changed until the file was saved or read again. */
  private readonly _postponed = new Set<string>();
  private readonly _timers = new Map<string, number>();
  private _socket: LiveSocket | null = null;
}

/** Return the outputs that show a run until its training ends, and have no picture; none of a notebook that must not be changed. */
function outputsWithout({ content, context }: NotebookPanel): Array<{ output: IOutputModel; runId: string }> {
  const found: Array<{ output: IOutputModel; runId: string }> = [];
  if (context.model.readOnly || context.contentsModel?.writable === false) {
    return found;
  }
  for (const cell of content.model?.cells ?? []) {
    if (cell.type !== 'code' || !cell.trusted) {
      continue;
    }
    const { outputs } = cell as typeof cell & WithOutputs;
    for (let index = 0; index < outputs.length; index++) {
      const output = outputs.get(index);
      const data = output.type === 'stream' ? {} : output.data;
      if (RUN_MIME_TYPE in data && !PICTURES.some(mimeType => mimeType in data)) {
        const reference = referenceIn(data);
        if (reference !== null && reference.ended === null) {
          found.push({ output, runId: reference.run_id });
        }
      }
    }
  }
  return found;
}

/** Return when no other page of this browser holds the name; it is held until `signal`. Browsers offer that to secure pages only. */
async function isFirst(name: string, signal: AbortSignal): Promise<void> {
  const { locks } = navigator as { locks?: LockManager };
  if (locks === undefined) {
    return;
  }
  await new Promise<void>(resolve => {
    const hold = (): Promise<void> => {
      resolve();
      return new Promise(release => signal.addEventListener('abort', () => release()));
    };
    locks.request(name, { signal }, hold).catch(() => resolve()); // by `signal`, before it was held
  });
}
