/**
 * The active notebook and its kernel, as events that the panel needs.
 *
 * A kernel's `busy` and `idle` are not used to know whether a cell runs: messages on the control channel and on subshells flip them.
 */
import type { ISessionContext } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { INotebookTracker, Notebook, NotebookPanel } from '@jupyterlab/notebook';
import { NotebookActions } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';

type Cell = Notebook['widgets'][number];

const LOST: ReadonlySet<Kernel.Status> = new Set(['restarting', 'autorestarting', 'dead', 'terminating']);
/** What a cell says that loads or uses detjupyter. */
const OUR_WORDS = /\bdetjupyter\b|%det_/;

/** A cell has run; `mentionsUs`: its text names detjupyter or one of its magics. */
export interface Executed {
  mentionsUs: boolean;
}

const ANSWERING: ReadonlySet<Kernel.Status> = new Set(['idle', 'busy']);

export class ActiveNotebook implements IDisposable {
  constructor(tracker: INotebookTracker) {
    this._tracker = tracker;
    tracker.currentChanged.connect(this.follow, this);
    NotebookActions.executed.connect(this.onExecuted, this);
    this.follow();
  }

  /** The notebook's path, relative to the server's root, or null if no notebook is open. */
  get path(): string | null {
    return this._panel?.context.localPath ?? null;
  }

  /** The notebook's directory; '' is the server's root. */
  get directory(): string | null {
    return this.path === null ? null : PathExt.dirname(this.path);
  }

  get kernelId(): string | null {
    return this._panel?.sessionContext.session?.kernel?.id ?? null;
  }

  /** Return whether a cell of the notebook names detjupyter or one of its magics. */
  mentionsUs(): boolean {
    const cells = this._panel?.content.model?.cells ?? [];
    return Array.from(cells).some(
      cell => cell.type === 'code' && OUR_WORDS.test(cell.sharedModel.getSource())
    );
  }

  /** Insert a code cell below the active one. The notebook's own undo removes it. */
  insert(source: string): void {
    const notebook = this._panel?.content;
    if (notebook?.model) {
      NotebookActions.insertBelow(notebook);
      NotebookActions.changeCellType(notebook, 'code'); // a notebook can be set up to insert other cells
      notebook.activeCell?.model.sharedModel.setSource(source);
      void notebook.scrollToItem(notebook.activeCellIndex);
    }
  }

  /** Insert a code cell below the active one, and run it. */
  async run(source: string): Promise<void> {
    const panel = this._panel;
    if (panel?.content.model) {
      this.insert(source);
      await NotebookActions.run(panel.content, panel.sessionContext);
    }
  }

  /** Another notebook, another path of it, or another kernel. */
  get switched(): ISignal<this, void> {
    return this._switched;
  }

  /** The kernel's process is gone, though its id may stay. */
  get kernelLost(): ISignal<this, void> {
    return this._kernelLost;
  }

  /** The kernel answers again after it was lost. */
  get kernelReturned(): ISignal<this, void> {
    return this._kernelReturned;
  }

  /** A cell of this notebook has run. */
  get executed(): ISignal<this, Executed> {
    return this._executed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (!this._isDisposed) {
      this._isDisposed = true;
      this.leave();
      Signal.clearData(this);
    }
  }

  private follow(): void {
    if (this._panel === this._tracker.currentWidget && this._panel !== null) {
      return;
    }
    this.leave();
    this._panel = this._tracker.currentWidget;
    this._lost = false;
    if (this._panel !== null) {
      const { context, sessionContext } = this._panel;
      sessionContext.kernelChanged.connect(this.onSwitched, this);
      sessionContext.statusChanged.connect(this.onStatus, this);
      context.pathChanged.connect(this.onSwitched, this);
      this._panel.disposed.connect(this.onClosed, this);
      // The cells, in which our words are looked for, come after the widget.
      const panel = this._panel;
      void context.ready.then(() => panel === this._panel && this._switched.emit());
    }
    this._switched.emit();
  }

  private leave(): void {
    if (this._panel !== null) {
      const { context, sessionContext } = this._panel;
      sessionContext.kernelChanged.disconnect(this.onSwitched, this);
      sessionContext.statusChanged.disconnect(this.onStatus, this);
      context.pathChanged.disconnect(this.onSwitched, this);
      this._panel.disposed.disconnect(this.onClosed, this);
      this._panel = null;
    }
  }

  private onSwitched(): void {
    this._lost = false;
    this._switched.emit();
  }

  private onClosed(): void {
    this.leave();
    this.follow();
  }

  private onStatus(_: ISessionContext, status: Kernel.Status): void {
    if (LOST.has(status)) {
      this._lost = true;
      this._kernelLost.emit();
    } else if (this._lost && ANSWERING.has(status)) {
      this._lost = false;
      this._kernelReturned.emit();
    }
  }

  private onExecuted(_: unknown, { notebook, cell }: { notebook: Notebook; cell: Cell }): void {
    if (this._panel !== null && notebook === this._panel.content) {
      this._executed.emit({ mentionsUs: OUR_WORDS.test(cell.model.sharedModel.getSource()) });
    }
  }

  private readonly _tracker: INotebookTracker;
  private readonly _switched = new Signal<this, void>(this);
  private readonly _kernelLost = new Signal<this, void>(this);
  private readonly _kernelReturned = new Signal<this, void>(this);
  private readonly _executed = new Signal<this, Executed>(this);
  private _panel: NotebookPanel | null = null;
  private _lost = false;
  private _isDisposed = false;
}
