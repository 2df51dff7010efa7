/** The tab with the table of runs. */
import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Api } from '../api';
import { panelIcon } from '../icons';
import type { PanelModel } from '../model/panel';
import { ComparisonView } from './comparison';
import { RunTableModel } from './model';
import { TableView } from './view';

export const RUNS_TAB_ID = 'detjupyter-runs';

/** Return the tab; its table follows the history as long as the tab is open. */
export function createRunsTab(
  panel: PanelModel,
  titleOfKernel: (kernelId: string) => string | null
): MainAreaWidget {
  const table = new RunTableModel(panel.api, panel.runs.changed);
  const content = new RunsTab(table, panel.api, titleOfKernel);
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
    private readonly api: Api,
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
    return <RunsView table={this.table} api={this.api} titleOfKernel={this.titleOfKernel} />;
  }
}

interface RunsViewProps {
  table: RunTableModel;
  api: Api;
  titleOfKernel: (kernelId: string) => string | null;
}

/** The table, or the comparison of the runs that were selected in it. */
function RunsView({ table, api, titleOfKernel }: RunsViewProps): JSX.Element {
  const [compared, setCompared] = React.useState<readonly string[] | null>(null);
  const wasCompared = React.useRef(false);
  React.useEffect(() => {
    if (compared === null && wasCompared.current) {
      // the keys work again where they were used last
      document.querySelector<HTMLElement>(`#${RUNS_TAB_ID} .dj-Table-rows`)?.focus();
    }
    wasCompared.current = compared !== null;
  }, [compared]);
  return compared === null ? (
    <TableView model={table} onCompare={setCompared} titleOfKernel={titleOfKernel} />
  ) : (
    <ComparisonView api={api} runIds={compared} onClose={() => setCompared(null)} />
  );
}
