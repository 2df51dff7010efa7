/** The outputs of notebooks that refer to a run. */
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { Contents } from '@jupyterlab/services';

import { RUN_MIME_TYPE } from '../../protocol';
import { Api } from '../api';
import { Feed, KernelQuestions } from './feed';
import { keepPictures } from './keeper';
import { RunOutput } from './renderer';

/** Before the renderer of widgets, which is at 0: a widget needs the kernel that made it, a reference does not. */
const RANK = -10;

/** Let notebooks draw references to runs, and, with a tracker of notebooks, keep pictures of them in their files. */
export function addOutputs(
  registry: IRenderMimeRegistry,
  contents: Contents.IManager,
  tracker: INotebookTracker | null
): void {
  const api = new Api(contents.serverSettings);
  const feed = new Feed(contents.serverSettings);
  const questions = new KernelQuestions(api);
  registry.addFactory(
    {
      // What it draws comes from the server; nothing in the output is run.
      safe: true,
      mimeTypes: [RUN_MIME_TYPE],
      createRenderer: () => new RunOutput(api, feed, questions, registry)
    },
    RANK
  );
  if (tracker !== null) {
    keepPictures(tracker, contents, api, feed);
  }
}
