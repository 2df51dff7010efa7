/** The sidebar: a head and three sections, each a React view of the one model. */
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import { MessageLoop } from '@lumino/messaging';
import type { ISignal } from '@lumino/signaling';
import type { AccordionPanel } from '@lumino/widgets';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import { panelIcon } from './icons';
import type { PanelModel } from './model/panel';
import type { DefinitionModel } from './model/definition';
import { DefinitionView } from './views/definition';
import { HeaderView } from './views/header';
import { LiveView } from './views/live';
import { RunsView } from './views/runs';

export const PANEL_ID = 'detjupyter-panel';

type View = React.FunctionComponent<{ model: PanelModel }>;
type AnySignal = ISignal<unknown, unknown>;

/** How the sections share the height at first. */
const HEIGHTS = [0.42, 0.4, 0.18];

export class DefinitionPanel extends SidePanel {
  constructor(model: PanelModel) {
    super();
    this.id = PANEL_ID;
    this.addClass('dj-Panel');
    this.title.icon = panelIcon;
    this.title.caption = 'Model definition (detjupyter)';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Model definition');
    const { definition, edit, notebook, runs, session, connectionChanged } = model;
    this._definition = definition;

    this.header.addWidget(new Section(HeaderView, model, [notebook.switched, connectionChanged]));
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
      connectionChanged
    ]);
    this.addSection('Runs', RunsView, model, [runs.changed]);
    (this.content as AccordionPanel).setRelativeSizes(HEIGHTS);
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
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._definition.setVisible(false);
  }

  private addSection(label: string, view: View, model: PanelModel, signals: AnySignal[]): void {
    const section = new Section(view, model, signals);
    section.addClass('dj-Section');
    section.addClass(`dj-mod-${label.toLowerCase()}`);
    section.title.label = label;
    this.addWidget(section);
  }

  private readonly _definition: DefinitionModel;
  /** The header grows with what it says. Without a message the sections keep their height, and their end is below the panel. */
  private readonly _sizes = new ResizeObserver(() =>
    MessageLoop.postMessage(this.content, Widget.ResizeMessage.UnknownSize)
  );
}

/** A view that is rendered again when one of its signals fires, at most once per frame, and not while it is hidden. */
class Section extends ReactWidget {
  constructor(
    private readonly view: View,
    private readonly model: PanelModel,
    signals: AnySignal[]
  ) {
    super();
    for (const signal of signals) {
      signal.connect(() => this.update(), this);
    }
  }

  protected render(): JSX.Element {
    return <this.view model={this.model} />;
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
}
