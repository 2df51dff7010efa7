/** The files of a definition as a tree: what ships, what is left out, and by which rule. */
import { caretDownIcon, caretRightIcon, classes, fileIcon, folderIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes } from '../../chart';
import type { FileRecord } from '../../protocol';
import type { TreeNode } from './tree';
import { buildTree, opensByItself, ruleOf, visibleRows } from './tree';
import { useWindow } from './window';

const ROW_PX = 24;
const INDENT_PX = 14;

interface FilesProps {
  /** The definition's path: another one starts with its own open directories. */
  path: string;
  files: readonly FileRecord[];
}

export const Files = React.memo(function Files({ path, files }: FilesProps): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  const id = React.useId();
  const [toggled, setToggled] = React.useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = React.useState<string | null>(null);
  React.useEffect(() => {
    setToggled(new Set());
    setActive(null);
  }, [path]);

  const tree = React.useMemo(() => buildTree(files), [files]);
  const openAtFirst = opensByItself(files.length);
  const isOpen = React.useCallback(
    (node: TreeNode) => toggled.has(node.path) !== openAtFirst,
    [toggled, openAtFirst]
  );
  const rows = React.useMemo(() => visibleRows(tree, isOpen), [tree, isOpen]);
  const { first, end } = useWindow(host, '.dj-Section', rows.length, ROW_PX);

  const toggle = (node: TreeNode): void => {
    const next = new Set(toggled);
    if (!next.delete(node.path)) {
      next.add(node.path);
    }
    setToggled(next);
  };
  const activeRow = rows.findIndex(row => row.path === active);

  const go = (index: number): void => {
    const row = Math.max(0, Math.min(rows.length - 1, index));
    setActive(rows[row]?.path ?? null);
    reveal(host.current, row);
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    const node = rows[activeRow];
    const isParent = node !== undefined && node.children.length > 0;
    switch (event.key) {
      case 'ArrowDown':
        go(activeRow + 1);
        break;
      case 'ArrowUp':
        go(activeRow - 1);
        break;
      case 'Home':
        go(0);
        break;
      case 'End':
        go(rows.length - 1);
        break;
      case 'ArrowRight':
        if (isParent && !isOpen(node)) {
          toggle(node);
        } else if (isParent) {
          go(activeRow + 1);
        }
        break;
      case 'ArrowLeft':
        if (isParent && isOpen(node)) {
          toggle(node);
        } else if (node !== undefined && node.depth > 0) {
          go(rows.findLastIndex((row, index) => index < activeRow && row.depth < node.depth));
        }
        break;
      case 'Enter':
      case ' ':
        if (isParent) {
          toggle(node);
        }
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={host}
      className="dj-Files"
      role="tree"
      aria-label="Files of the model definition"
      aria-activedescendant={activeRow >= first && activeRow < end ? `${id}-${activeRow}` : undefined}
      tabIndex={0}
      style={{ height: rows.length * ROW_PX }}
      onFocus={() => activeRow < 0 && setActive(rows[first]?.path ?? null)}
      onKeyDown={onKeyDown}
    >
      {rows.slice(first, end).map((node, index) => (
        <FileRow
          key={node.path}
          id={`${id}-${first + index}`}
          node={node}
          top={(first + index) * ROW_PX}
          isOpen={node.children.length > 0 ? isOpen(node) : null}
          isActive={first + index === activeRow}
          onClick={() => {
            setActive(node.path);
            if (node.children.length > 0) {
              toggle(node);
            }
          }}
        />
      ))}
    </div>
  );
});

interface RowProps {
  id: string;
  node: TreeNode;
  top: number;
  /** null: it cannot be opened. */
  isOpen: boolean | null;
  isActive: boolean;
  onClick: () => void;
}

function FileRow({ id, node, top, isOpen, isActive, onClick }: RowProps): JSX.Element {
  const { record, included, isDirectory } = node;
  const rule = record === null ? null : ruleOf(record);
  const Icon = isDirectory ? folderIcon : fileIcon;
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  const verdict = included ? 'ships' : 'left out';
  return (
    <div
      id={id}
      className={classes('dj-File', included ? '' : 'dj-mod-excluded', isActive ? 'dj-mod-active' : '')}
      role="treeitem"
      aria-level={node.depth + 1}
      aria-expanded={isOpen ?? undefined}
      aria-selected={isActive}
      aria-label={`${node.path}, ${verdict}`}
      data-path={record?.path ?? node.path}
      data-included={included}
      style={{ top, paddingLeft: node.depth * INDENT_PX }}
      title={rule === null ? node.path : `${node.path}\n${rule.full}`}
      onClick={onClick}
    >
      <span className="dj-File-caret">{isOpen !== null && <Caret.react tag="span" />}</span>
      <Icon.react tag="span" className="dj-File-icon" />
      <span className="dj-File-name">
        {node.name}
        {isDirectory && '/'}
      </span>
      {!included && rule !== null && (
        <span className="dj-File-rule">
          {rule.short}
          <span className="dj-File-pattern">{record?.pattern}</span>
        </span>
      )}
      {included && <span className="dj-File-size">{formatBytes(node.sizeBytes)}</span>}
      <span className="dj-File-mark" aria-hidden="true" />
    </div>
  );
}

function reveal(list: HTMLElement | null, row: number): void {
  const view = list?.closest('.dj-Section');
  if (list && view) {
    const top = list.getBoundingClientRect().top - view.getBoundingClientRect().top + row * ROW_PX;
    if (top < 0) {
      view.scrollTop += top;
    } else if (top + ROW_PX > view.clientHeight) {
      view.scrollTop += top + ROW_PX - view.clientHeight;
    }
  }
}
