/** An edit of `.detignore`: before it is saved its lines and their effect, afterwards a message and Undo. */
import { classes, closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount } from '../../live/format';
import type { EffectRecord, IgnoreEditRecord } from '../../protocol';
import type { EditModel } from '../model/edit';
import { IconButton, Message } from './state';

export function EditView({ edit }: { edit: EditModel }): JSX.Element | null {
  const { state, record, error, change } = edit;
  const host = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    // The next key is Enter or Escape; after that the focus returns to the tree.
    if (state === 'proposed') {
      host.current?.scrollIntoView({ block: 'nearest' });
      host.current?.querySelector<HTMLElement>('.dj-Edit-buttons > button')?.focus();
    } else if (state !== 'saving' && host.current?.contains(document.activeElement)) {
      focusTree(host.current);
    }
  }, [state]);
  if (state === 'none' && error === null) {
    return null;
  }
  const dismiss = (): void => {
    focusTree(host.current);
    edit.dismiss();
  };
  const changes = record !== null && record.added.length + record.removed.length > 0;
  const isOpen = state === 'proposed' || (state === 'saving' && record?.undo === null);
  return (
    <div
      ref={host}
      className={classes('dj-Edit', isOpen ? 'dj-mod-open' : '')}
      role="region"
      aria-label="Change of .detignore"
      data-state={state}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          dismiss();
        }
      }}
    >
      <div className="dj-Edit-head">
        <div className="dj-Edit-title" role="status">
          <Title state={state} change={change} record={record} />
        </div>
        {state === 'saved' && (
          <button type="button" className="dj-LinkButton" onClick={() => void edit.undo()}>
            Undo
          </button>
        )}
        {!isOpen && <IconButton icon={closeIcon} label="Dismiss" onClick={dismiss} />}
      </div>
      {error !== null && (
        <div className="dj-Refusal" role="alert">
          <Message error={error} />
        </div>
      )}
      {isOpen && record !== null && (
        <>
          <Lines record={record} />
          <div className="dj-Edit-buttons">
            {changes && (
              <button
                type="button"
                className="dj-TextButton dj-mod-accept"
                disabled={state === 'saving'}
                onClick={() => void edit.save()}
              >
                Save
              </button>
            )}
            <button type="button" className="dj-TextButton" onClick={dismiss}>
              {changes ? 'Cancel' : 'Close'}
            </button>
          </div>
        </>
      )}
    </div>
  );
}

function Title({ state, change, record }: Pick<EditModel, 'state' | 'change' | 'record'>): JSX.Element {
  const file = <code title={change?.file}>{change?.file}</code>;
  if (state === 'saved' && record !== null) {
    return change?.include ? <>{file} ships now.</> : <>{file} is left out now.</>;
  }
  if (state === 'undone') {
    return (
      <>
        <code>.detignore</code> is restored.
      </>
    );
  }
  if (state === 'computing') {
    return <>Computing the effect…</>;
  }
  return change?.include ? <>Include {file}?</> : <>Exclude {file}?</>;
}

function Lines({ record }: { record: IgnoreEditRecord }): JSX.Element {
  const lines = [
    ...record.removed.map(text => ({ sign: '−', text })),
    ...record.added.map(text => ({ sign: '+', text }))
  ];
  if (lines.length === 0) {
    return <p className="dj-faint">It is already {record.include ? 'part of the bundle' : 'left out'}.</p>;
  }
  return (
    <>
      <div className="dj-Diff">
        <div className="dj-Diff-name">.detignore</div>
        {lines.map(({ sign, text }, index) => (
          <div
            key={index}
            className={classes('dj-Diff-line', sign === '+' ? 'dj-mod-added' : 'dj-mod-removed')}
          >
            <span aria-label={sign === '+' ? 'added' : 'removed'}>{sign}</span>
            <code>{text}</code>
          </div>
        ))}
      </div>
      <Effects record={record} />
    </>
  );
}

function Effects({ record }: { record: IgnoreEditRecord }): JSX.Element {
  const { ships, left_out } = record;
  return (
    <ul className="dj-Effects">
      {ships.files > 0 && <Effect effect={ships} verb="would ship, too" />}
      {left_out.files > 0 && <Effect effect={left_out} verb="would no longer ship" />}
      {ships.files === 0 && left_out.files === 0 && <li className="dj-faint">No file is affected.</li>}
    </ul>
  );
}

function Effect({ effect, verb }: { effect: EffectRecord; verb: string }): JSX.Element {
  const { files, size_bytes, names } = effect;
  const more = files - names.length;
  const list = names.join('\n') + (more > 0 ? `\nand ${formatCount(more)} more` : '');
  return (
    <li title={list}>
      <b>{formatCount(files)}</b> {files === 1 ? 'file' : 'files'} ({formatBytes(size_bytes)}) {verb}
      <div className="dj-Effects-names dj-faint">
        {names.slice(0, 3).join(', ')}
        {files > 3 && ', …'}
      </div>
    </li>
  );
}

function focusTree(host: HTMLElement | null): void {
  host?.closest('.dj-Section')?.querySelector<HTMLElement>('.dj-Files')?.focus({ preventScroll: true });
}
