/** The Restore button of a checkpoint, and what it says. */
import { Clipboard, Dialog, showDialog } from '@jupyterlab/apputils';
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { CheckpointRecord } from '../../protocol';
import { BUTTONS } from '../../protocol';
import type { Loss, Offer } from '../model/restoring';
import { Code } from './state';

interface RestoreProps {
  checkpoint: CheckpointRecord;
  offer: Offer;
  isPending: boolean;
  /** The id of the element with the lines, while they are shown. */
  linesId: string | null;
  onRestore: () => void;
  onLines: () => void;
}

/** The button. While it is off it keeps the focus, and its tooltip says why. */
export function RestoreButton(props: RestoreProps): JSX.Element {
  const { checkpoint, offer, isPending, linesId, onRestore, onLines } = props;
  const { label, pending, title } = BUTTONS.restore;
  const batch = `checkpoint at batch ${formatCount(checkpoint.batches_trained)}`;
  const isLines = offer.how === 'lines';
  const why = isLines ? null : offer.why;
  return (
    <button
      type="button"
      className={classes('dj-TextButton', 'dj-mod-small', 'dj-Checkpoint-restore')}
      aria-label={`${isPending ? pending : label} ${batch}`}
      aria-disabled={why !== null}
      aria-busy={isPending}
      aria-expanded={isLines ? linesId !== null : undefined}
      aria-controls={linesId ?? undefined}
      title={isLines ? 'Show and copy the lines that load this checkpoint' : (why ?? title)}
      onClick={() => (isLines ? onLines() : why === null && onRestore())}
    >
      {isPending ? pending : isLines ? `${label}…` : label}
    </button>
  );
}

/** The lines that restore a checkpoint which the notebook's kernel cannot restore now. */
export function RestoreLines({ id, lines }: { id: string; lines: string }): JSX.Element {
  return (
    <div id={id} className="dj-Checkpoint-lines" role="status">
      <p className="dj-faint">Copied. Run this in the notebook:</p>
      <Code>{lines}</Code>
    </div>
  );
}

/** Copy lines for a cell. */
export function copy(lines: string): void {
  Clipboard.copyToSystem(lines);
}

/** Ask whether a state that no checkpoint holds can be lost. */
export async function confirmLoss({ target, batchesTrained }: Loss): Promise<boolean> {
  const { button } = await showDialog({
    title: `Restore the checkpoint at batch ${formatCount(target.batches_trained)}?`,
    body: `No checkpoint holds the weights after batch ${formatCount(batchesTrained)}: they are lost. To keep them, cancel and save a checkpoint first.`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: BUTTONS.restore.label })],
    defaultButton: 0
  });
  return button.accept;
}
