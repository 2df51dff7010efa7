/** The JupyterLab and Notebook 7 plugins. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';

import { addCommands, hasTabs, OPEN_RUNS } from './commands';
import { PanelModel } from './model/panel';
import { addOutputs } from './output';
import { DefinitionPanel } from './panel';

const panel: JupyterFrontEndPlugin<void> = {
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
    const sidebar = new DefinitionPanel(model);
    sidebar.disposed.connect(() => model.dispose());
    app.shell.add(sidebar, 'right', { rank: 900, type: 'Model definition' });
    restorer?.add(sidebar, sidebar.id);
    addCommands(app, model, palette, restorer);
  }
};

const output: JupyterFrontEndPlugin<void> = {
  id: 'detjupyter:output',
  description: 'The outputs of trainings in notebooks, drawn from the history of the server.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry, tracker: INotebookTracker | null): void =>
    addOutputs(registry, app.serviceManager.contents, tracker)
};

export default [panel, output];
