/** The tab with the table of runs. */
import { MainAreaWidget } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import type { Api } from '../api';
import { panelIcon } from '../icons';
import type { PanelModel } from '../model/panel';
import { ComparisonView } from './comparison';
import { RunTableModel } from './model';
import type { Place } from './query';
import { TableView } from './view';

export const RUNS_TAB_ID = 'detjupyter-runs';

/** Return the tab; its table follows the history as long as the tab is open. */
export function createRunsTab(
  panel: PanelModel,
  titleOfKernel: (kernelId: string) => string | null,
  place: Place
): MainAreaWidget<RunsTab> {
  const table = new RunTableModel(panel.api, panel.runs.changed, place.query);
  const content = new RunsTab(table, panel.api, titleOfKernel, place.compared);
  const tab = new MainAreaWidget({ content });
  tab.id = RUNS_TAB_ID;
  tab.title.label = 'Runs';
  tab.title.icon = panelIcon;
  tab.title.closable = true;
  tab.toolbar.hide();
  table.want(0, 1);
  return tab;
}

export class RunsTab extends ReactWidget {
  constructor(
    private readonly table: RunTableModel,
    private readonly api: Api,
    private readonly titleOfKernel: (kernelId: string) => string | null,
    private compared: readonly string[] | null
  ) {
    super();
    this.addClass('dj-RunsTab');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Runs');
    table.changed.connect(() => this.change(), this);
    this._saved = JSON.stringify(this.place);
  }

  /** What is shown, for the layout of the page. */
  get place(): Place {
    return { query: this.table.query, compared: this.compared };
  }

  get placeChanged(): ISignal<this, void> {
    return this._placeChanged;
  }

  override dispose(): void {
    this.table.dispose();
    Signal.clearData(this);
    super.dispose();
  }

  protected render(): JSX.Element {
    return (
      <RunsView
        table={this.table}
        api={this.api}
        titleOfKernel={this.titleOfKernel}
        compared={this.compared}
        onCompare={runIds => {
          this.compared = runIds;
          this.change();
        }}
      />
    );
  }

  private change(): void {
    const place = JSON.stringify(this.place);
    if (place !== this._saved) {
      this._saved = place;
      this._placeChanged.emit();
    }
    this.update();
  }

  private readonly _placeChanged = new Signal<this, void>(this);
  private _saved: string;
}

interface RunsViewProps {
  table: RunTableModel;
  api: Api;
  titleOfKernel: (kernelId: string) => string | null;
  compared: readonly string[] | null;
  onCompare: (runIds: readonly string[] | null) => void;
}

/** The table, or the comparison of the runs that were selected in it. */
function RunsView({ table, api, titleOfKernel, compared, onCompare }: RunsViewProps): JSX.Element {
  const wasCompared = React.useRef(false);
  React.useEffect(() => {
    if (compared === null && wasCompared.current) {
      // the keys work again where they were used last
      document.querySelector<HTMLElement>(`#${RUNS_TAB_ID} .dj-Table-rows`)?.focus();
    }
    wasCompared.current = compared !== null;
  }, [compared]);
  return compared === null ? (
    <TableView model={table} onCompare={onCompare} titleOfKernel={titleOfKernel} />
  ) : (
    <ComparisonView
      key={compared.join()}
      api={api}
      runIds={compared}
      onClose={() => onCompare(null)}
      onCompare={onCompare}
    />
  );
}
