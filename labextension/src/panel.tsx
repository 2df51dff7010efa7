/** The sidebar: a head and three sections, each a React view of the one model. */
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { MessageLoop } from '@lumino/messaging';
import type { ISignal } from '@lumino/signaling';
import type { AccordionPanel } from '@lumino/widgets';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { isLive } from '../live/words';
import type { State } from '../protocol';
import { panelIcon } from './icons';
import { shareHeight } from './layout';
import type { PanelModel } from './model/panel';
import type { DefinitionModel } from './model/definition';
import { DefinitionView } from './views/definition';
import { HeaderView } from './views/header';
import { LiveView } from './views/live';
import { RunsView } from './views/runs';

export const PANEL_ID = 'detjupyter-panel';

const TRAINING = 'dj-mod-training';
const ENDED = 'dj-mod-ended';

type View = React.FunctionComponent<{ model: PanelModel }>;
type AnySignal = ISignal<unknown, unknown>;

/** How the sections share the height when it is too little for all. */
const WEIGHTS = [0.35, 0.45, 0.2];
/** Smaller changes of what a section needs, such as a line more, move nothing. */
const LEAST_MOVE_PX = 24;

export class DefinitionPanel extends SidePanel {
  constructor(model: PanelModel) {
    super();
    this.id = PANEL_ID;
    this.addClass('dj-Panel');
    this.title.icon = panelIcon;
    this.title.caption = 'Model definition (detjupyter)';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Model definition');
    const { definition, edit, notebook, notifier, runs, session, connectionChanged } = model;
    this._definition = definition;
    session.changed.connect(() => this.mark(session.current?.state ?? null), this);

    this.header.addWidget(
      new Section(HeaderView, model, [notebook.switched, connectionChanged], this._sizes)
    );
    this.addSection('Definition', DefinitionView, model, [
      definition.changed,
      edit.changed,
      session.changed,
      notebook.switched
    ]);
    this.addSection('Live', LiveView, model, [
      session.changed,
      definition.changed,
      notebook.switched,
      connectionChanged,
      notifier.changed
    ]);
    this.addSection('Runs', RunsView, model, [runs.changed]);
    this.accordion.handleMoved.connect(() => (this._isArranged = true));
    this._sizes.observe(this.content.node);
  }

  override dispose(): void {
    this._sizes.disconnect();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._definition.setVisible(this.isVisible);
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._definition.setVisible(true);
    if (this.title.className === ENDED) {
      this.title.className = '';
    }
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._definition.setVisible(false);
  }

  private addSection(label: string, view: View, model: PanelModel, signals: AnySignal[]): void {
    const section = new Section(view, model, signals, this._sizes);
    section.addClass('dj-Section');
    section.addClass(`dj-mod-${label.toLowerCase()}`);
    section.title.label = label;
    this._sections.push(section);
    this.addWidget(section);
  }

  /** Mark the sidebar's tab while the notebook's session trains, and after the end until the user has looked. */
  private mark(state: State | null): void {
    const wasTraining = this.title.className === TRAINING;
    const isUnseen = state !== null && (wasTraining ? !this.isVisible : this.title.className === ENDED);
    const mark = state !== null && isLive(state) ? TRAINING : isUnseen ? ENDED : '';
    if (mark !== this.title.className) {
      this.title.className = mark;
    }
  }

  private get accordion(): AccordionPanel {
    return this.content as AccordionPanel;
  }

  /** Give each section the height that it needs; once the user has moved a border, leave it to the user. */
  private arrange(): void {
    const total = this._sections.reduce((sum, { node }) => sum + node.offsetHeight, 0);
    const open = this._sections.filter(section => !section.isHidden);
    if (this._isArranged || total === 0 || open.length === 0) {
      return;
    }
    const needs = open.map(section => ({
      height: section.neededHeight,
      weight: WEIGHTS[this._sections.indexOf(section)]!
    }));
    const heights = shareHeight(needs, total);
    if (open.some(({ node }, index) => Math.abs(node.offsetHeight - heights[index]!) >= LEAST_MOVE_PX)) {
      const shares = this._sections.map(section => (heights[open.indexOf(section)] ?? 0) / total);
      this.accordion.setRelativeSizes(shares);
    }
  }

  private readonly _definition: DefinitionModel;
  private readonly _sections: Section[] = [];
  private _isArranged = false;
  private readonly _sizes = new ResizeObserver(() => {
    // The header grows with what it says. Without a message the sections keep their height, and their end is below the panel.
    MessageLoop.postMessage(this.content, Widget.ResizeMessage.UnknownSize);
    requestAnimationFrame(() => this.isDisposed || this.arrange());
  });
}

/** A view that is rendered again when one of its signals fires, at most once per frame, and not while it is hidden. */
class Section extends ReactWidget {
  constructor(
    private readonly view: View,
    private readonly model: PanelModel,
    signals: AnySignal[],
    private readonly sizes: ResizeObserver
  ) {
    super();
    for (const signal of signals) {
      signal.connect(() => this.update(), this);
    }
  }

  /** The height that shows all of the content. */
  get neededHeight(): number {
    const { paddingTop, paddingBottom } = getComputedStyle(this.node);
    return (this._content?.offsetHeight ?? 0) + parseFloat(paddingTop) + parseFloat(paddingBottom);
  }

  protected render(): JSX.Element {
    return (
      <div className="dj-Section-content" ref={this._track}>
        <this.view model={this.model} />
      </div>
    );
  }

  protected override onUpdateRequest(message: Message): void {
    if (this.isVisible) {
      super.onUpdateRequest(message);
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.update();
  }

  private readonly _track = (content: HTMLDivElement | null): void => {
    this._content = content;
    if (content !== null) {
      this.sizes.observe(content);
    }
  };
  private _content: HTMLDivElement | null = null;
}
