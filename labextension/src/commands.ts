/** The commands of the palette, and those of the files' context menu. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { Clipboard } from '@jupyterlab/apputils';

import type { Command } from '../protocol';
import { panelIcon } from './icons';
import type { PanelModel } from './model';
import { PANEL_ID } from './panel';

const CATEGORY = 'detjupyter';
export const SHOW_PANEL = 'detjupyter:show-panel';
const REFRESH = 'detjupyter:refresh';

const STEERING: readonly { label: string; caption: string; command: Command }[] = [
  { label: 'Pause the Training', caption: 'Hold after the batch under way', command: { kind: 'pause' } },
  { label: 'Resume the Training', caption: 'Go on with a paused training', command: { kind: 'resume' } },
  {
    label: 'Train One More Batch',
    caption: 'Train one more batch, then pause',
    command: { kind: 'step', batches: 1 }
  },
  {
    label: 'Stop the Training',
    caption: 'End the training; weights and history stay',
    command: { kind: 'stop' }
  },
  { label: 'Validate Now', caption: 'Run the validation now', command: { kind: 'validate' } },
  { label: 'Write a Checkpoint Now', caption: 'Write a checkpoint now', command: { kind: 'checkpoint' } },
  {
    label: 'Reload the Edited Code',
    caption: 'Import the edited model definition, and go on with the same weights',
    command: { kind: 'reload' }
  }
];

/** Add our commands to the application, and to the palette if it has one. */
export function addCommands(app: JupyterFrontEnd, model: PanelModel, palette: ICommandPalette | null): void {
  const { commands, shell } = app;
  commands.addCommand(SHOW_PANEL, {
    label: 'Show Model Definition Panel',
    caption: 'Show the files, the live training and the runs of the active notebook',
    icon: panelIcon,
    execute: () => shell.activateById(PANEL_ID)
  });
  commands.addCommand(REFRESH, {
    label: 'Refresh Model Definition Panel',
    caption: 'Ask the server and the kernel again',
    execute: () => model.refresh()
  });
  for (const { label, caption, command } of STEERING) {
    commands.addCommand(`detjupyter:${command.kind}`, {
      label,
      caption,
      isEnabled: () => model.session.can(command.kind),
      execute: () => model.session.send(command)
    });
  }
  const ids = [SHOW_PANEL, ...STEERING.map(({ command }) => `detjupyter:${command.kind}`), REFRESH];
  for (const id of ids) {
    palette?.addItem({ command: id, category: CATEGORY });
  }

  addFileCommands(app, model);

  // The session's state changes ten times a second while it trains; who listens only wants to know what is possible.
  let enabled = '';
  model.session.changed.connect(() => {
    const now = STEERING.map(({ command }) => Number(model.session.can(command.kind))).join('');
    if (now !== enabled) {
      enabled = now;
      STEERING.forEach(({ command }) => commands.notifyCommandChanged(`detjupyter:${command.kind}`));
    }
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
