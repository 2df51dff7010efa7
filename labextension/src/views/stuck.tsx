/** No batch has ended for a while: what the training is doing, and a button to end it. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import { BUTTONS } from '../../protocol';
import { STUCK } from '../../live/words';
import { warningIcon } from '../icons';
import type { SessionModel } from '../model/session';

export function Stuck({ session, stack }: { session: SessionModel; stack: string }): JSX.Element {
  return (
    <div className="dj-Callout dj-Stuck">
      <div className="dj-Callout-title" role="status">
        <warningIcon.react tag="span" className="dj-Callout-icon" />
        {STUCK.label}
      </div>
      {stack.trim() !== '' && (
        <details>
          <summary>{STUCK.where}</summary>
          <pre className="dj-Traceback">{stack.trimEnd()}</pre>
        </details>
      )}
      <button
        type="button"
        className="dj-TextButton dj-mod-small"
        disabled={!session.can('force_close')}
        title={BUTTONS.force_close.title}
        onClick={() => void forceClose(session)}
      >
        {session.underWay.some(({ kind }) => kind === 'force_close')
          ? BUTTONS.force_close.pending
          : `${BUTTONS.force_close.label}…`}
      </button>
    </div>
  );
}

/** Ask for confirmation: the weights since the last checkpoint are lost. */
async function forceClose(session: SessionModel): Promise<void> {
  const { button } = await showDialog({
    title: 'Close this session now?',
    body: 'The session is closed without waiting for the current batch. The run so far is kept; weights since its last checkpoint are lost.',
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: BUTTONS.force_close.label })],
    defaultButton: 0
  });
  if (button.accept) {
    await session.send({ kind: 'force_close' });
  }
}
