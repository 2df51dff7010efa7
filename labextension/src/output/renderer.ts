/** The output of a run: drawn from the server's history, or, where it is not there, as a front end without us would show it. */
import type { IRenderMime, IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { MimeModel } from '@jupyterlab/rendermime';
import type { Message } from '@lumino/messaging';
import { PanelLayout, Widget } from '@lumino/widgets';

import type { ChartTools } from '../../chart/tools';
import { withCode } from '../../output/dom';
import { LiveView } from '../../output/view';
import type { Command } from '../../protocol';
import { RUN_MIME_TYPE } from '../../protocol';
import type { Api } from '../api';
import { AnswerError, UnreachableError } from '../errors';
import { RunSource, toolsOf } from '../model/source';
import type { Feed, KernelQuestions } from './feed';
import { referenceIn } from './reference';
import { type News, RunModel } from './run';

/** A run that has just begun can reach the history after its output. */
const PATIENCE_MS = 3000;
const TRY_AGAIN_MS = 500;
const UNREACHABLE_PAUSE_MS = 5000;
const NOT_FOUND = 404;

export class RunOutput extends Widget implements IRenderMime.IRenderer {
  constructor(
    private readonly api: Api,
    private readonly feed: Feed,
    private readonly questions: KernelQuestions,
    private readonly registry: IRenderMimeRegistry
  ) {
    super();
    this.addClass('dj-RunOutput');
    this.layout = new PanelLayout();
  }

  /** Show the run of the data. Called again when the output changes: the view of the same run stays. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._data = model;
    const reference = referenceIn(model.data);
    if (reference === null) {
      await this.showInstead('This output was written by another version of detjupyter.');
    } else if (this._run?.runId === reference.run_id) {
      this._run.end(reference.ended);
      if (this._why !== null) {
        await this.showInstead(this._why); // with what the output holds now
      }
    } else {
      this.leave();
      this._run = new RunModel(this.api, this.feed, this.questions, reference);
      if (this._isSeen) {
        this.begin();
      }
    }
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.leave();
      this._seen.disconnect();
      super.dispose();
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (!this._isSeen) {
      this._seen.observe(this.node); // a notebook that is scrolled can attach its cells again
    }
  }

  /** A notebook can have very many outputs: only those that are looked at ask the server. */
  private see(): void {
    this._isSeen = true;
    this._seen.disconnect();
    this.begin();
  }

  private begin(): void {
    const run = this._run;
    if (run !== null) {
      run.news.connect(this.onNews, this);
      void this.fetch(run, performance.now() + PATIENCE_MS);
    }
  }

  private async fetch(run: RunModel, giveUpAt: number): Promise<void> {
    try {
      await run.begin();
      if (run === this._run) {
        this._view?.say((this._remark = run.remark)); // an earlier attempt may have failed
      }
    } catch (error) {
      if (run !== this._run) {
        return;
      }
      const isEarly =
        error instanceof AnswerError && error.status === NOT_FOUND && performance.now() < giveUpAt;
      const isDown = error instanceof UnreachableError;
      if (this._view !== null) {
        this._view.say((error as Error).message); // part of the run is shown
      } else if (!isEarly) {
        const hint = error instanceof AnswerError && error.hint !== null ? ` ${error.hint}` : '';
        await this.showInstead(`${(error as Error).message}${hint}`);
      }
      if (isEarly || isDown) {
        setTimeout(
          () => {
            if (run === this._run) {
              void this.fetch(run, giveUpAt);
            }
          },
          isDown ? UNREACHABLE_PAUSE_MS : TRY_AGAIN_MS
        );
      }
    }
  }

  private onNews(run: RunModel, { patches, log, isWholeLog }: News): void {
    const { session } = run;
    if (session === null) {
      return;
    }
    this.followCharts(run);
    if (this._view === null) {
      this.clearInstead();
      this._view = new LiveView(this.node, command => this.send(run, command), {
        extras: grid => (this._tools = toolsOf(grid, this._source))
      });
      this._unfollow = this._source?.follow(this._tools!) ?? null;
    }
    const view = this._view;
    if (isWholeLog) {
      view.clearLog();
    }
    view.update(session, patches, log);
    this._tools?.announce(patches);
    if (run.remark !== this._remark) {
      this._remark = run.remark;
      view.say(run.remark);
    }
  }

  /** Have the charts ask for the marks of the run again, when it has changed. */
  private followCharts(run: RunModel): void {
    const { record } = run;
    if (record !== null && record !== this._source?.record) {
      this._source = new RunSource(this.api, record);
      if (this._tools !== null) {
        this._unfollow?.();
        this._unfollow = this._source.follow(this._tools);
      }
    }
  }

  private send(run: RunModel, command: Command): number {
    const id = (this._commandIds += 1);
    void run.send(command).then(error => this._view?.answered(id, error));
    return id;
  }

  /** Show what the output holds besides the reference, and say why. */
  private async showInstead(why: string): Promise<void> {
    const model = this._data;
    const layout = this.layout as PanelLayout;
    if (model === null || this.isDisposed) {
      return;
    }
    this.clearInstead();
    this._why = why;
    const data = { ...model.data };
    delete data[RUN_MIME_TYPE];
    const mimeType = this.registry.preferredMimeType(data, model.trusted ? 'any' : 'ensure');
    const renderer = mimeType === undefined ? null : this.registry.createRenderer(mimeType);
    const note = new Widget();
    note.addClass('dj-RunOutput-note');
    note.node.append(...withCode(renderer === null ? why : `${why} This is what the notebook itself holds.`));
    // Both at once: what takes their place while the renderer is at work removes both.
    [renderer, note].forEach(widget => widget !== null && layout.addWidget(widget));
    await renderer?.renderModel(new MimeModel({ data, metadata: model.metadata, trusted: model.trusted }));
  }

  private clearInstead(): void {
    this._why = null;
    [...(this.layout as PanelLayout).widgets].forEach(widget => widget.dispose());
  }

  private leave(): void {
    this._run?.dispose();
    this._run = null;
    this._unfollow?.();
    this._view?.dispose();
    this._tools?.dispose();
    this._view = this._tools = this._source = this._unfollow = null;
    this._remark = '';
  }

  private readonly _seen = new IntersectionObserver(entries => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) {
      this.see();
    }
  });
  private _data: IRenderMime.IMimeModel | null = null;
  private _run: RunModel | null = null;
  private _view: LiveView | null = null;
  private _tools: ChartTools | null = null;
  private _source: RunSource | null = null;
  private _unfollow: (() => void) | null = null;
  private _isSeen = false;
  /** Why the run is not drawn; null if it is, or not yet decided. */
  private _why: string | null = null;
  private _remark = '';
  private _commandIds = 0;
}
