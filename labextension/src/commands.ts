/** The commands of the palette. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';

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
  { label: 'Write a Checkpoint Now', caption: 'Write a checkpoint now', command: { kind: 'checkpoint' } }
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
