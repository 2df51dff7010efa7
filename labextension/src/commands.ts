/** The commands of the palette, and those of the files' context menu. */
import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette, MainAreaWidget } from '@jupyterlab/apputils';
import { Clipboard, WidgetTracker } from '@jupyterlab/apputils';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import type { LiveCommand } from '../live/controls';
import { BUTTONS } from '../protocol';
import { panelIcon } from './icons';
import type { PanelModel } from './model/panel';
import { PANEL_ID } from './panel';
import { toPlace } from './table/query';
import type { RunsTab } from './table/widget';
import { createRunsTab, RUNS_TAB_ID } from './table/widget';

const CATEGORY = 'detjupyter';
export const SHOW_PANEL = 'detjupyter:show-panel';
export const OPEN_RUNS = 'detjupyter:open-runs';
const REFRESH = 'detjupyter:refresh';

/** The commands to a session, as a menu names them. */
const STEERING: readonly { kind: LiveCommand | 'reload'; label: string }[] = [
  { kind: 'pause', label: 'Pause Training' },
  { kind: 'resume', label: 'Resume Training' },
  { kind: 'step', label: 'Train One More Batch' },
  { kind: 'stop', label: 'Stop Training' },
  { kind: 'validate', label: 'Validate Now' },
  { kind: 'checkpoint', label: 'Save Checkpoint' },
  { kind: 'reload', label: 'Reload Edited Code' }
];

/** Add our commands to the application, to the palette if it has one, and what they open to the layout of the page. */
export function addCommands(
  app: JupyterFrontEnd,
  model: PanelModel,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null
): void {
  const { commands, shell } = app;
  commands.addCommand(SHOW_PANEL, {
    label: 'Show Model Definition Panel',
    caption: 'Show the files, the live training and the runs of the active notebook',
    icon: panelIcon,
    execute: () => shell.activateById(PANEL_ID)
  });
  if (hasTabs(app)) {
    addRunsCommand(app, model, restorer);
  }
  commands.addCommand(REFRESH, {
    label: 'Refresh Model Definition Panel',
    caption: 'Ask the server and the kernel again',
    execute: () => model.refresh()
  });
  for (const { kind, label } of STEERING) {
    commands.addCommand(`detjupyter:${kind}`, {
      label,
      caption: BUTTONS[kind].title,
      isEnabled: () => model.session.can(kind),
      execute: () => model.session.send({ kind })
    });
  }
  const ids = [
    SHOW_PANEL,
    ...(hasTabs(app) ? [OPEN_RUNS] : []),
    ...STEERING.map(({ kind }) => `detjupyter:${kind}`),
    REFRESH
  ];
  for (const id of ids) {
    palette?.addItem({ command: id, category: CATEGORY });
  }

  addFileCommands(app, model);

  // The session's state changes ten times a second while it trains; its listeners only need to know which commands are possible.
  let enabled = '';
  model.session.changed.connect(() => {
    const now = STEERING.map(({ kind }) => Number(model.session.can(kind))).join('');
    if (now !== enabled) {
      enabled = now;
      STEERING.forEach(({ kind }) => commands.notifyCommandChanged(`detjupyter:${kind}`));
    }
  });
}

/** Whether the application has tabs next to that of the notebook, as JupyterLab does; Notebook 7 has none. */
export function hasTabs(app: JupyterFrontEnd): boolean {
  return 'mode' in app.shell;
}

/** The tab with the table of runs; it is opened once, and opened again with the page. */
function addRunsCommand(app: JupyterFrontEnd, model: PanelModel, restorer: ILayoutRestorer | null): void {
  const tabs = new WidgetTracker<MainAreaWidget<RunsTab>>({ namespace: RUNS_TAB_ID });
  const titleOfKernel = (kernelId: string): string | null => {
    const sessions = [...app.serviceManager.sessions.running()];
    return sessions.find(({ kernel }) => kernel?.id === kernelId)?.path ?? null;
  };
  const open = (saved: ReadonlyPartialJSONObject): MainAreaWidget<RunsTab> => {
    const tab = createRunsTab(model, titleOfKernel, toPlace(saved));
    tab.content.placeChanged.connect(() => void tabs.save(tab));
    void tabs.add(tab);
    app.shell.add(tab, 'main', { type: 'Runs' });
    return tab;
  };
  app.commands.addCommand(OPEN_RUNS, {
    label: 'Open Runs',
    caption: 'Show all runs in a table, to sort, filter, compare and clean them up',
    icon: panelIcon,
    execute: saved => {
      const tab = tabs.find(() => true) ?? open(saved);
      app.shell.activateById(tab.id);
      return tab;
    }
  });
  void restorer?.restore(tabs, {
    command: OPEN_RUNS,
    args: ({ content }) => content.place as unknown as ReadonlyPartialJSONObject,
    name: () => RUNS_TAB_ID
  });
}

/** What can be done with a row of the tree of files; the row says by its attributes what is on offer. */
function addFileCommands(app: JupyterFrontEnd, model: PanelModel): void {
  const row = (): DOMStringMap | undefined =>
    app.contextMenuHitTest(node => node.classList.contains('dj-File'))?.dataset;
  const entries: readonly { id: string; label: string; selector: string; run: (path: string) => void }[] = [
    {
      id: 'open-file',
      label: 'Open',
      selector: '[data-kind="file"]',
      run: path => model.openFileOfDefinition(path)
    },
    {
      id: 'exclude-path',
      label: 'Exclude This…',
      selector: '[data-offer="exclude"]',
      run: path => void model.edit.propose(path, false)
    },
    {
      id: 'include-path',
      label: 'Include This…',
      selector: '[data-offer="include"]',
      run: path => void model.edit.propose(path, true)
    },
    { id: 'copy-path', label: 'Copy Path', selector: '', run: path => Clipboard.copyToSystem(path) }
  ];
  entries.forEach(({ id, label, selector, run }, rank) => {
    const command = `detjupyter:${id}`;
    app.commands.addCommand(command, {
      label,
      execute: () => {
        const path = row()?.path;
        if (path !== undefined) {
          run(path);
        }
      }
    });
    app.contextMenu.addItem({ command, selector: `.dj-File${selector}`, rank });
  });
}
