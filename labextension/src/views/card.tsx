/** What is loaded: the class, its hyperparameters, how the code differs from the files on disk, and what it uses that would not ship. */
import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount, toNumber } from '../../live/format';
import type { CardRecord, ChangeRecord, UsageRecord } from '../../protocol';
import { BUTTONS } from '../../protocol';
import { warningIcon } from '../icons';
import type { PanelModel } from '../model/panel';
import { Hyperparameters } from './hyperparameters';
import { Message, withCode } from './state';
import { Warnings } from './warnings';

/** How many files that are used and not shipped are listed at first. */
const SHOWN_AT_FIRST = 4;

interface CardProps {
  model: PanelModel;
  card: CardRecord;
  /** Whether the files of what is loaded are listed here, so that its `.detignore` can be edited. */
  isListed: boolean;
}

export function Card({ model, card, isListed }: CardProps): JSX.Element {
  const { file_notes, hyperparameters, startup_hook, usage, warnings } = card;
  const { refusal } = model.session;
  // A failed reload is also a note on the card; at the button it would be there twice.
  const isNews = (note: string): boolean =>
    refusal?.command.kind !== 'reload' || !note.includes(refusal.error.message);
  // The listing has what is to say about the files as they are now.
  const notes = [...card.notes.filter(isNews), ...(isListed ? [] : file_notes)];
  const live = model.session.current?.session.warnings ?? [];
  const isUnseen = (warning: string): boolean => !live.includes(warning);
  return (
    <div className="dj-Block dj-Card" data-entrypoint={card.entrypoint}>
      <div className="dj-Title">
        <span className="dj-Title-name" title={card.entrypoint}>
          {card.class_name}
        </span>
        <span className="dj-Title-side" title={`${card.file}, line ${card.line}`}>
          {basename(card.file)}:{card.line}
        </span>
      </div>
      <div className="dj-Line dj-faint">
        <span
          title={`Framework, device and seed${card.is_seed_drawn ? ', which was drawn because none was chosen' : ''}`}
        >
          {card.framework} · {card.device} · seed {card.seed}
          {card.is_seed_drawn && ' (drawn)'}
        </span>
        <code title={`Hash of the code that ships:\n${card.bundle_hash}`}>
          {card.bundle_hash.slice(0, 8)}
        </code>
      </div>
      <Warnings lines={warnings.filter(isUnseen)} />
      {card.changed.length > 0 && <Changed model={model} card={card} />}
      {usage !== null && <Unshipped model={model} usage={usage} isListed={isListed} />}
      {startup_hook !== null && (
        <p className="dj-faint dj-Card-hook" title={startup_hook}>
          <code>{basename(startup_hook)}</code> is here; it runs only with <code>--startup-hook</code>.
        </p>
      )}
      {notes.map(note => (
        <p key={note} className="dj-faint dj-Card-note">
          {withCode(note)}
        </p>
      ))}
      {hyperparameters.length > 0 && (
        <details className="dj-Details">
          <summary>
            <span className="dj-Line">
              <span>
                <b>{hyperparameters.length}</b>{' '}
                {hyperparameters.length === 1 ? 'hyperparameter' : 'hyperparameters'}
              </span>
              {card.config_path !== null && (
                <span className="dj-faint" title={card.config_path}>
                  {basename(card.config_path)}
                </span>
              )}
            </span>
          </summary>
          <Hyperparameters rows={hyperparameters} changes={card.hyperparameter_changes} />
        </details>
      )}
      {usage !== null && usage.unused_files > 0 && <Unused usage={usage} />}
      {!isListed && card.determined_differences > 0 && (
        <p className="dj-faint">
          Determined: {formatCount(card.determined_differences)}{' '}
          {card.determined_differences === 1 ? 'path differs' : 'paths differ'}
        </p>
      )}
    </div>
  );
}

/** The code on disk differs from the code that trains: the differences, and a button that reloads it. */
function Changed({ model, card }: { model: PanelModel; card: CardRecord }): JSX.Element {
  const { session } = model;
  const isReloading = session.underWay.some(({ kind }) => kind === 'reload');
  const refusal = session.refusal?.command.kind === 'reload' ? session.refusal.error : null;
  const loadedAt = new Date(toNumber(card.loaded_at) * 1000).toLocaleString();
  return (
    <div className="dj-Callout dj-Changed" role="status">
      <div className="dj-Callout-head">
        <span className="dj-Callout-title" title={`What runs was loaded ${loadedAt}`}>
          Code changed
        </span>
        <button
          type="button"
          className="dj-TextButton dj-mod-small"
          disabled={!session.can('reload')}
          title={BUTTONS.reload.title}
          onClick={() => void session.send({ kind: 'reload' })}
        >
          <refreshIcon.react tag="span" className="dj-IconButton-icon" />
          {isReloading ? BUTTONS.reload.pending : BUTTONS.reload.label}
        </button>
      </div>
      <ul className="dj-Callout-list">
        {card.changed.map(change => (
          <li key={change.path} title={`${change.path}: ${changeText(change)}`}>
            <code>{change.path}</code> <span className="dj-faint">{changeText(change)}</span>
          </li>
        ))}
      </ul>
      {refusal !== null && (
        <div className="dj-Refusal" role="alert">
          <Message error={refusal} />
        </div>
      )}
    </div>
  );
}

function changeText({ what, names }: ChangeRecord): string {
  return what === 'edited' && names.length > 0 ? names.join(', ') : what;
}

/** What the definition used although it would not ship: on another machine it would fail. */
function Unshipped({
  model,
  usage,
  isListed
}: Omit<CardProps, 'card'> & { usage: UsageRecord }): JSX.Element | null {
  const { unshipped } = usage;
  const [all, setAll] = React.useState(false);
  const shown = all ? unshipped : unshipped.slice(0, SHOWN_AT_FIRST);
  if (unshipped.length === 0) {
    return null;
  }
  return (
    <div className="dj-Callout dj-Unshipped" role="alert">
      <div className="dj-Callout-head">
        <span className="dj-Callout-title">
          <warningIcon.react tag="span" className="dj-Callout-icon" />
          Used but not shipped
        </span>
        {unshipped.length > 1 && <span className="dj-faint">{formatCount(unshipped.length)} files</span>}
      </div>
      <ul className="dj-Callout-list dj-mod-long">
        {shown.map(({ path, sentence, source }) => (
          <li key={path}>
            <span title={path}>{withCode(sentence)}</span>
            {isListed && source !== 'always' && (
              <button
                type="button"
                className="dj-LinkButton"
                title={`Include ${path}: first shows what that changes`}
                onClick={() => void model.edit.propose(path, true)}
              >
                Include this…
              </button>
            )}
          </li>
        ))}
      </ul>
      {shown.length < unshipped.length && (
        <button type="button" className="dj-LinkButton" onClick={() => setAll(true)}>
          Show all {formatCount(unshipped.length)}
        </button>
      )}
    </div>
  );
}

function Unused({ usage }: { usage: UsageRecord }): JSX.Element {
  const { unused, unused_files, unused_bytes } = usage;
  const more = unused_files - unused.length;
  const list = unused.join('\n') + (more > 0 ? `\nand ${formatCount(more)} more` : '');
  return (
    <p className="dj-faint dj-Card-unused" title={list}>
      {formatCount(unused_files)} {unused_files === 1 ? 'file' : 'files'} not used so far (
      {formatBytes(unused_bytes)})
    </p>
  );
}

function basename(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
