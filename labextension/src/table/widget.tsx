/** The tab with the table of runs. */
import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { panelIcon } from '../icons';
import type { PanelModel } from '../model/panel';
import { RunTableModel } from './model';
import { TableView } from './view';

export const RUNS_TAB_ID = 'detjupyter-runs';

/** Return the tab; its table follows the history as long as the tab is open. */
export function createRunsTab(
  panel: PanelModel,
  titleOfKernel: (kernelId: string) => string | null
): MainAreaWidget {
  const table = new RunTableModel(panel.api, panel.runs.changed);
  const content = new RunsTab(table, titleOfKernel);
  const tab = new MainAreaWidget({ content });
  tab.id = RUNS_TAB_ID;
  tab.title.label = 'Runs';
  tab.title.icon = panelIcon;
  tab.title.closable = true;
  tab.toolbar.hide();
  table.want(0, 1);
  return tab;
}

class RunsTab extends ReactWidget {
  constructor(
    private readonly table: RunTableModel,
    private readonly titleOfKernel: (kernelId: string) => string | null
  ) {
    super();
    this.addClass('dj-RunsTab');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Runs');
    table.changed.connect(() => this.update(), this);
  }

  override dispose(): void {
    this.table.dispose();
    super.dispose();
  }

  protected render(): JSX.Element {
    return <TableView model={this.table} onCompare={() => undefined} titleOfKernel={this.titleOfKernel} />;
  }
}
