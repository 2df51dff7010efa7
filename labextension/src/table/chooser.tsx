/** The chooser of columns: a button that opens a list of boxes. */
import { tableRowsIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { IconButton } from '../views/state';
import type { RunTableModel } from './model';
import type { Column } from './query';
import { FIXED } from './query';

const PARTS: readonly { kind: Column['kind']; title: string }[] = [
  { kind: 'hyperparameter', title: 'Hyperparameters' },
  { kind: 'metric', title: 'Metrics' },
  { kind: 'own', title: 'Run' }
];

export function Chooser({ model }: { model: RunTableModel }): JSX.Element {
  const [isOpen, setIsOpen] = React.useState(false);
  const [text, setText] = React.useState('');
  const host = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (!isOpen) {
      return;
    }
    const listeners = new AbortController();
    const close = (event: Event): void => {
      if (!host.current?.contains(event.target as Node)) {
        setIsOpen(false);
      }
    };
    document.addEventListener('pointerdown', close, { capture: true, signal: listeners.signal });
    return () => listeners.abort();
  }, [isOpen]);

  const { all, shown } = model.columns;
  const isShown = new Set(shown.map(({ id }) => id));
  const wanted = text.trim().toLowerCase();
  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (event.key === 'Escape' && isOpen) {
      setIsOpen(false);
      host.current?.querySelector('button')?.focus();
      event.stopPropagation();
    }
  };
  return (
    <div ref={host} className="dj-Chooser" onKeyDown={onKeyDown}>
      <IconButton
        icon={tableRowsIcon}
        label="Columns"
        title="Choose the columns"
        labelled
        pressed={isOpen}
        onClick={() => setIsOpen(!isOpen)}
      />
      {isOpen && (
        <div className="dj-Chooser-list" role="dialog" aria-label="Columns">
          <input
            type="search"
            autoFocus
            className="dj-Chooser-search"
            placeholder="Search columns"
            aria-label="Search columns"
            value={text}
            onChange={event => setText(event.target.value)}
          />
          {PARTS.map(({ kind, title }) => {
            const columns = all.filter(
              column =>
                column.kind === kind && !FIXED.has(column.id) && column.label.toLowerCase().includes(wanted)
            );
            return (
              columns.length > 0 && (
                <fieldset key={kind}>
                  <legend>{title}</legend>
                  {columns.map(column => (
                    <label key={column.id} title={column.title}>
                      <input
                        type="checkbox"
                        checked={isShown.has(column.id)}
                        onChange={event => model.showColumn(column.id, event.target.checked)}
                      />
                      <span>{column.label}</span>
                    </label>
                  ))}
                </fieldset>
              )
            );
          })}
          <button
            type="button"
            className="dj-TextButton dj-mod-small"
            onClick={() => {
              model.resetColumns();
            }}
          >
            As at first
          </button>
        </div>
      )}
    </div>
  );
}
