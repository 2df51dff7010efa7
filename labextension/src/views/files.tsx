/** The files of a definition as a tree: what ships, what is left out, and by which rule. */
import { searchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { DefinitionRecord, DeterminedRecord } from '../../protocol';
import { biggestFirstIcon } from '../icons';
import { FileRow, ROW_PX } from './row';
import { IconButton } from './state';
import type { Order, TreeNode } from './tree';
import { Differences, FileTree, listedPath, matcher, offerOf } from './tree';
import { useWindow } from './window';

interface FilesProps {
  record: DefinitionRecord;
  comparison: DeterminedRecord | null;
  /** Whether only paths are shown about which Determined's uploader decides differently. */
  differingOnly: boolean;
  onOpen: (file: string) => void;
  onEdit: (file: string, include: boolean) => void;
}

const NOTHING: ReadonlySet<string> = new Set();

export const Files = React.memo(function Files(props: FilesProps): JSX.Element {
  const { record, comparison, differingOnly, onOpen, onEdit } = props;
  const host = React.useRef<HTMLDivElement>(null);
  const id = React.useId();
  const [toggled, setToggled] = React.useState(NOTHING);
  const [text, setText] = React.useState('');
  const [order, setOrder] = React.useState<Order>('name');
  const [active, setActive] = React.useState<string | null>(null);

  const tree = React.useMemo(() => new FileTree(record), [record]);
  const differences = React.useMemo(() => comparison && new Differences(comparison), [comparison]);
  const wanted = text.trim().toLowerCase();
  const search = React.useMemo(() => {
    if (wanted === '' && !differingOnly) {
      return null;
    }
    const isFound = matcher(wanted);
    return tree.search(
      node => isFound(node) && (!differingOnly || (differences?.at.has(node.path) ?? false))
    );
  }, [tree, wanted, differingOnly, differences]);
  // What is opened and closed while searching belongs to that search; after it the tree is as it was.
  const [touched, setTouched] = React.useState({ search: '', toggled: NOTHING });
  const searched = `${differingOnly} ${wanted}`;
  const shown = search === null ? toggled : touched.search === searched ? touched.toggled : NOTHING;
  const sight = React.useMemo(() => ({ order, toggled: shown, search }), [order, shown, search]);
  const rows = React.useMemo(() => tree.rows(sight), [tree, sight]);
  const { first, end } = useWindow(host, '.dj-Section', rows.length, ROW_PX);
  const activeRow = React.useMemo(() => rows.findIndex(({ node }) => node.path === active), [rows, active]);
  const canEdit = !record.is_file;

  const toggle = (node: TreeNode): void => {
    const next = new Set(shown);
    if (!next.delete(node.path)) {
      next.add(node.path);
    }
    if (search === null) {
      setToggled(next);
    } else {
      setTouched({ search: searched, toggled: next });
    }
  };
  const act = (node: TreeNode): void => {
    if (node.children.length > 0) {
      toggle(node);
    } else if (!node.isDirectory) {
      onOpen(node.path);
    }
  };
  const edit = (node: TreeNode): void => {
    const offer = canEdit ? offerOf(node) : null;
    if (offer !== null) {
      onEdit(listedPath(node), offer === 'include');
    }
  };
  const go = (index: number): void => {
    const row = Math.max(0, Math.min(rows.length - 1, index));
    setActive(rows[row]?.node.path ?? null);
    reveal(host.current, row);
  };

  const onKeyDown = (event: React.KeyboardEvent): void => {
    const node = rows[activeRow]?.node;
    const isParent = node !== undefined && node.children.length > 0;
    const isOpen = isParent && tree.isOpen(node, sight);
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    switch (event.key) {
      case 'ArrowDown':
        go(activeRow + 1);
        break;
      case 'ArrowUp':
        go(activeRow - 1);
        break;
      case 'PageDown':
        go(activeRow + Math.max(1, end - first - 16));
        break;
      case 'PageUp':
        go(activeRow - Math.max(1, end - first - 16));
        break;
      case 'Home':
        go(0);
        break;
      case 'End':
        go(rows.length - 1);
        break;
      case 'ArrowRight':
        if (isParent && !isOpen) {
          toggle(node);
        } else if (isParent) {
          go(activeRow + 1);
        }
        break;
      case 'ArrowLeft':
        if (isOpen) {
          toggle(node);
        } else if (node !== undefined && node.depth > 0) {
          go(rows.findLastIndex((row, index) => index < activeRow && row.node.depth < node.depth));
        }
        break;
      case 'Enter':
        if (node !== undefined) {
          act(node);
        }
        break;
      case ' ':
        if (isParent) {
          toggle(node);
        }
        break;
      case 'e':
        if (node !== undefined) {
          edit(node);
        }
        break;
      case '/':
        host.current?.parentElement?.querySelector<HTMLInputElement>('.dj-Search-input')?.focus();
        break;
      case 'ContextMenu':
        openMenu(document.getElementById(`${id}-${activeRow}`));
        break;
      case 'F10':
        if (!event.shiftKey) {
          return;
        }
        openMenu(document.getElementById(`${id}-${activeRow}`));
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  const onSearchKeyDown = (event: React.KeyboardEvent): void => {
    if (event.key === 'Escape' && text !== '') {
      setText('');
    } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
      host.current?.focus();
      go(search === null ? 0 : rows.findIndex(({ node }) => node.found === search.turn));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <>
      <div className="dj-Files-tools">
        <label className="dj-Search">
          <searchIcon.react tag="span" className="dj-Search-icon" />
          <input
            type="search"
            className="dj-Search-input"
            placeholder="Search files"
            aria-label="Search files"
            spellCheck={false}
            value={text}
            onChange={event => setText(event.target.value)}
            onKeyDown={onSearchKeyDown}
          />
          {search !== null && wanted !== '' && (
            <span className="dj-Search-count" role="status">
              {formatCount(search.hits)}
            </span>
          )}
        </label>
        <IconButton
          icon={biggestFirstIcon}
          label="Biggest first"
          title={order === 'size' ? 'Biggest first (click: by name)' : 'By name (click: biggest first)'}
          pressed={order === 'size'}
          onClick={() => setOrder(order === 'size' ? 'name' : 'size')}
        />
      </div>
      {rows.length === 0 && (
        <p className="dj-faint dj-Files-none">
          {wanted === '' ? 'There are no files here.' : `No path contains “${text.trim()}”.`}
        </p>
      )}
      <div
        ref={host}
        className="dj-Files"
        role="tree"
        aria-label="Files of the model definition"
        aria-activedescendant={activeRow >= first && activeRow < end ? `${id}-${activeRow}` : undefined}
        tabIndex={0}
        style={{ height: rows.length * ROW_PX }}
        onFocus={() => activeRow < 0 && setActive(rows[first]?.node.path ?? null)}
        onKeyDown={onKeyDown}
      >
        {rows.slice(first, end).map(({ node, position, setSize }, index) => (
          <FileRow
            key={node.path}
            id={`${id}-${first + index}`}
            node={node}
            position={position}
            setSize={setSize}
            top={(first + index) * ROW_PX}
            isOpen={node.children.length > 0 ? tree.isOpen(node, sight) : null}
            isActive={first + index === activeRow}
            highlight={search !== null && node.found === search.turn ? wanted : ''}
            differs={differences?.at.get(node.path) ?? null}
            differsBelow={differences?.below.get(node.path) ?? 0}
            offer={canEdit ? offerOf(node) : null}
            onClick={() => {
              setActive(node.path);
              act(node);
            }}
            onEdit={() => edit(node)}
          />
        ))}
      </div>
    </>
  );
});

/** Open JupyterLab's context menu at a row, as the mouse would. */
function openMenu(row: HTMLElement | null): void {
  if (row !== null) {
    const { left, bottom } = row.getBoundingClientRect();
    row.dispatchEvent(
      new MouseEvent('contextmenu', { bubbles: true, cancelable: true, clientX: left + 40, clientY: bottom })
    );
  }
}

function reveal(list: HTMLElement | null, row: number): void {
  const view = list?.closest('.dj-Section');
  if (list && view) {
    const toolsPx = view.querySelector('.dj-Files-tools')?.clientHeight ?? 0;
    const top = list.getBoundingClientRect().top - view.getBoundingClientRect().top + row * ROW_PX;
    if (top < toolsPx) {
      view.scrollTop += top - toolsPx;
    } else if (top + ROW_PX > view.clientHeight) {
      view.scrollTop += top + ROW_PX - view.clientHeight;
    }
  }
}
