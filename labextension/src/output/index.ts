/** The renderer of outputs that refer to a run. */
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { ServerConnection } from '@jupyterlab/services';

import { RUN_MIME_TYPE } from '../../protocol';
import { Api } from '../api';
import { RunOutput } from './renderer';

/** Before the renderer of widgets, which is at 0: a widget needs the kernel that made it, a reference does not. */
const RANK = -10;

/** Let notebooks draw references to runs. */
export function addRenderer(registry: IRenderMimeRegistry, settings: ServerConnection.ISettings): void {
  const api = new Api(settings);
  registry.addFactory(
    {
      // What it draws comes from the server; nothing in the output is run.
      safe: true,
      mimeTypes: [RUN_MIME_TYPE],
      createRenderer: () => new RunOutput(api, registry)
    },
    RANK
  );
}
