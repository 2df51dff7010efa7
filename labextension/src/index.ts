/** The JupyterLab and Notebook 7 plugin. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';

import { addCommands, hasTabs, OPEN_RUNS } from './commands';
import { PanelModel } from './model/panel';
import { DefinitionPanel } from './panel';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'detjupyter:panel',
  description:
    'The model definition, the live training and the runs of the active notebook, in the right sidebar.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const model = new PanelModel(
      tracker,
      app.serviceManager.contents,
      path => void app.commands.execute('docmanager:open', { path }),
      hasTabs(app) ? () => void app.commands.execute(OPEN_RUNS) : null
    );
    const panel = new DefinitionPanel(model);
    panel.disposed.connect(() => model.dispose());
    app.shell.add(panel, 'right', { rank: 900, type: 'Model definition' });
    restorer?.add(panel, panel.id);
    addCommands(app, model, palette);
  }
};

export default plugin;
