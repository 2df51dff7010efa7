/** What can be done with the selected runs, deletions that can be undone, and why an action was refused. */
import { Clipboard } from '@jupyterlab/apputils';
import { copyIcon, deleteIcon, editIcon, tagIcon, textEditorIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount } from '../../live/format';
import type { RunRow } from '../../protocol';
import { LONGEST_NAME, LONGEST_NOTE, MOST_COMPARED, UNDO_S } from '../../protocol';
import { archiveIcon, starIcon } from '../icons';
import { IconButton, Message } from '../views/state';
import { ask } from './ask';
import type { Deletion } from './deletions';
import type { RunTableModel } from './model';

/** The actions on runs: of the selected ones, or of the active one if none is selected. */
export class Actions {
  constructor(
    private readonly model: RunTableModel,
    private readonly runs: readonly RunRow[],
    private readonly ids: readonly string[]
  ) {}

  get hasAny(): boolean {
    return this.ids.length > 0;
  }

  get isStarred(): boolean {
    return this.runs.length > 0 && this.runs.every(({ starred }) => starred);
  }

  get isArchived(): boolean {
    return this.runs.length > 0 && this.runs.every(({ archived }) => archived);
  }

  get canRename(): boolean {
    return this.ids.length === 1;
  }

  get canCompare(): boolean {
    return this.ids.length >= 2 && this.ids.length <= MOST_COMPARED;
  }

  star(): void {
    void this.model.annotate(this.ids, { starred: !this.isStarred });
  }

  archive(): void {
    void this.model.annotate(this.ids, { archived: !this.isArchived });
  }

  delete(): void {
    void this.model.delete(this.ids);
  }

  async rename(): Promise<void> {
    const run = await this.model.read(this.ids[0] ?? '');
    const name =
      run === null
        ? null
        : await ask({
            title: 'Rename Run',
            label: 'Name (empty for none)',
            value: run.name,
            mostCharacters: LONGEST_NAME
          });
    if (name !== null) {
      await this.model.annotate(this.ids, { name });
    }
  }

  /** The tags are typed with commas between them; those that are no longer there are removed. */
  async tag(): Promise<void> {
    const common = (this.runs[0]?.tags ?? []).filter(tag =>
      this.runs.every(({ tags }) => tags.includes(tag))
    );
    const isOne = this.ids.length === 1;
    const text = await ask({
      title: isOne ? 'Tags' : `Tags of ${formatCount(this.ids.length)} Runs`,
      label: isOne
        ? 'Tags, with commas between them'
        : 'Tags that all of them have, with commas between them',
      value: common.join(', '),
      mostCharacters: 2000
    });
    if (text !== null) {
      const tags = text.split(',').map(tag => tag.trim());
      await this.model.annotate(this.ids, {
        add_tags: tags.filter(tag => tag !== '' && !common.includes(tag)),
        remove_tags: common.filter(tag => !tags.includes(tag))
      });
    }
  }

  async note(): Promise<void> {
    const isOne = this.ids.length === 1;
    const run = isOne ? await this.model.read(this.ids[0] ?? '') : null;
    const note =
      isOne && run === null
        ? null
        : await ask({
            title: isOne ? 'Note' : `Note of ${formatCount(this.ids.length)} Runs`,
            label: isOne ? 'Ctrl+Enter saves it' : 'It takes the place of their notes. Ctrl+Enter saves it',
            value: run?.note ?? '',
            mostCharacters: LONGEST_NOTE,
            hasLines: true
          });
    if (note !== null) {
      await this.model.annotate(this.ids, { note });
    }
  }

  copyCompare(): void {
    Clipboard.copyToSystem(`%det_compare ${this.ids.join(' ')}`);
  }
}

interface BarProps {
  model: RunTableModel;
  actions: Actions;
  onCompare: () => void;
}

export function ActionBar({ model, actions, onCompare }: BarProps): JSX.Element {
  const count = model.selected.size;
  const disabled = !actions.hasAny;
  return (
    <div className="dj-Table-actions" role="toolbar" aria-label="Actions on the selected runs">
      <span className="dj-Table-selected" role="status">
        {count === 0 ? 'None selected' : `${formatCount(count)} selected`}
      </span>
      <IconButton
        icon={starIcon}
        label={actions.isStarred ? 'Remove star' : 'Star'}
        title={actions.isStarred ? 'Remove the star (S)' : 'Star (S)'}
        labelled
        disabled={disabled}
        onClick={() => actions.star()}
      />
      <IconButton
        icon={editIcon}
        label="Rename"
        title={actions.canRename || disabled ? 'Rename (F2)' : 'Select one run to rename it'}
        labelled
        disabled={!actions.canRename}
        onClick={() => void actions.rename()}
      />
      <IconButton
        icon={tagIcon}
        label="Tags"
        title="Tags (T)"
        labelled
        disabled={disabled}
        onClick={() => void actions.tag()}
      />
      <IconButton
        icon={textEditorIcon}
        label="Note"
        title="Note (N)"
        labelled
        disabled={disabled}
        onClick={() => void actions.note()}
      />
      <IconButton
        icon={archiveIcon}
        label={actions.isArchived ? 'Unarchive' : 'Archive'}
        title={actions.isArchived ? 'Show it in lists again (A)' : 'Hide it in lists; all its data stay (A)'}
        labelled
        disabled={disabled}
        onClick={() => actions.archive()}
      />
      <IconButton
        icon={deleteIcon}
        label="Delete"
        title={`Delete, with ${UNDO_S} seconds to undo it (Delete)`}
        labelled
        disabled={disabled}
        onClick={() => actions.delete()}
      />
      <span className="dj-Table-space" />
      <button
        type="button"
        className="dj-TextButton dj-mod-small"
        disabled={!actions.canCompare}
        title={actions.canCompare ? 'Compare the selected runs (C)' : `Select 2 to ${MOST_COMPARED} runs`}
        onClick={onCompare}
      >
        Compare
      </button>
      <IconButton
        icon={copyIcon}
        label="Copy %det_compare"
        title="Copy the line %det_compare … for a notebook"
        disabled={!actions.canCompare}
        onClick={() => actions.copyCompare()}
      />
    </div>
  );
}

/** Deletions that can still be undone, and why the last action was refused. */
export function Notices({ model }: { model: RunTableModel }): JSX.Element | null {
  const { pending } = model.deletions;
  if (pending.length === 0 && model.refusal === null) {
    return null;
  }
  return (
    <div className="dj-Table-notices" role="status">
      {pending.map(deletion => (
        <div key={deletion.runIds.join()} className="dj-Table-notice">
          <span>{sentence(deletion)}</span>
          <button
            type="button"
            className="dj-TextButton dj-mod-small"
            onClick={() => model.deletions.undo(deletion)}
          >
            Undo
          </button>
        </div>
      ))}
      {model.refusal !== null && (
        <div className="dj-Refusal" role="alert">
          <Message error={model.refusal} />
        </div>
      )}
    </div>
  );
}

function sentence({ runIds, sizeBytes }: Deletion): string {
  const runs = runIds.length === 1 ? 'The run is' : `${formatCount(runIds.length)} runs are`;
  const size = sizeBytes > 0 ? ` This frees ${formatBytes(sizeBytes)} of checkpoints.` : '';
  return `${runs} deleted in a few seconds.${size}`;
}
