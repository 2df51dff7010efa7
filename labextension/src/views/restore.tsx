/** The Restore button of a checkpoint, and what it says. */
import { Clipboard, Dialog, showDialog } from '@jupyterlab/apputils';
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { CheckpointRecord } from '../../protocol';
import { BUTTONS } from '../../protocol';
import type { Loss, Offer, Restored } from '../model/restoring';
import { restoredText } from '../model/restoring';
import { Code, Message, withCode } from './state';

interface RestoreProps {
  checkpoint: CheckpointRecord;
  /** null: nothing can restore it. */
  offer: Offer | null;
  isPending: boolean;
  /** The result of the last restore, if it was of this checkpoint. */
  restored: Restored | null;
  refusal: Error | null;
  onRestore: () => void;
}

/** The button, and below it its answer. While it is off it keeps the focus, and its tooltip says why. */
export function RestoreControl(props: RestoreProps): JSX.Element | null {
  const { checkpoint, offer, isPending, restored, refusal, onRestore } = props;
  const [isOpen, setOpen] = React.useState(false);
  const answer = React.useRef<HTMLDivElement>(null);
  const { label, pending, title } = BUTTONS.restore;
  const lines = offer?.how === 'lines' ? offer.lines : null;
  const shown = isOpen ? lines : null;
  const isAnswered = shown !== null || restored !== null || refusal !== null;
  React.useEffect(() => {
    if (isAnswered) {
      answer.current?.scrollIntoView({ block: 'nearest' });
    }
  }, [isAnswered]);
  if (offer === null) {
    return null;
  }

  const why = offer.how === 'session' ? offer.why : null;
  const what = `checkpoint at batch ${formatCount(checkpoint.batches_trained)}`;
  const onClick = (): void => {
    if (lines !== null) {
      Clipboard.copyToSystem(lines);
      setOpen(!isOpen);
    } else if (why === null) {
      onRestore();
    }
  };
  return (
    <>
      <button
        type="button"
        className={classes('dj-TextButton', 'dj-mod-small', 'dj-Checkpoint-restore')}
        aria-label={`${isPending ? pending : label} ${what}`}
        aria-disabled={why !== null}
        aria-busy={isPending}
        aria-expanded={lines === null ? undefined : isOpen}
        title={lines === null ? (why ?? title) : 'Show and copy the lines that load this checkpoint'}
        onClick={onClick}
      >
        {isPending ? pending : lines === null ? label : `${label}…`}
      </button>
      <div ref={answer} className="dj-Checkpoint-answer" role="status">
        {restored !== null && <p>{withCode(restoredText(restored))}</p>}
        {shown !== null && (
          <>
            <p className="dj-faint">Copied. Run this in the notebook:</p>
            <Code>{shown}</Code>
          </>
        )}
        {refusal !== null && (
          <div className="dj-Refusal" role="alert">
            <Message error={refusal} />
          </div>
        )}
      </div>
    </>
  );
}

/** Ask whether a state that no checkpoint holds can be lost. */
export async function confirmLoss({ target, batchesTrained }: Loss): Promise<boolean> {
  const { button } = await showDialog({
    title: `Restore the checkpoint at batch ${formatCount(target.batches_trained)}?`,
    body: `There is no checkpoint of the weights after batch ${formatCount(batchesTrained)} as they are now, so they will be lost. To keep them, cancel and save a checkpoint first.`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: BUTTONS.restore.label })],
    defaultButton: 0
  });
  return button.accept;
}
