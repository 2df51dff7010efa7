/** One row of the tree of files: a name, its size or the rule that excludes it, and a button that changes that. */
import {
  caretDownIcon,
  caretRightIcon,
  classes,
  fileIcon,
  folderIcon,
  linkIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatBytes, formatCount } from '../../live/format';
import { excludeIcon, includeIcon } from '../icons';
import type { TreeNode } from './tree';
import { listedPath, ruleText } from './tree';

export const ROW_PX = 24;
const INDENT_PX = 14;
const MARGIN_PX = 6;

interface RowProps {
  id: string;
  node: TreeNode;
  /** Its place among its siblings on display, from 1, and how many they are. Most of them are not on the page. */
  position: number;
  setSize: number;
  top: number;
  /** null: it cannot be opened. */
  isOpen: boolean | null;
  isActive: boolean;
  /** What was searched for and found here, in lower case; '' if nothing was. */
  highlight: string;
  /** What Determined's uploader does differently with it, and with how many paths below it. */
  differs: { ships: boolean; count: number } | null;
  differsBelow: number;
  offer: 'exclude' | 'include' | null;
  onClick: () => void;
  onEdit: () => void;
}

export function FileRow(props: RowProps): JSX.Element {
  const {
    id,
    node,
    position,
    setSize,
    top,
    isOpen,
    isActive,
    highlight,
    differs,
    differsBelow,
    offer,
    onClick,
    onEdit
  } = props;
  const { included, isDirectory, rule } = node;
  const why = rule === null ? null : ruleText(rule);
  const Icon = isDirectory ? folderIcon : node.isSymlink ? linkIcon : fileIcon;
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  const difference = differenceText(differs, differsBelow, isDirectory);
  const OfferIcon = offer === 'include' ? includeIcon : excludeIcon;
  const offerText = offer === 'include' ? 'Include this' : 'Exclude this';
  return (
    <div
      id={id}
      className={classes('dj-File', included ? '' : 'dj-mod-excluded', isActive ? 'dj-mod-active' : '')}
      role="treeitem"
      aria-level={node.depth + 1}
      aria-posinset={position}
      aria-setsize={setSize}
      aria-expanded={isOpen ?? undefined}
      aria-selected={isActive}
      aria-label={`${node.path}, ${included ? 'ships' : 'left out'}${difference && `, ${difference}`}`}
      data-path={node.isListed || node.isDirectory ? listedPath(node) : node.path}
      data-kind={isDirectory ? 'directory' : 'file'}
      data-included={included}
      data-offer={offer ?? undefined}
      style={{ top, paddingLeft: MARGIN_PX + node.depth * INDENT_PX }}
      title={tooltip(node, why?.full ?? null)}
      onClick={onClick}
    >
      <span className="dj-File-caret">{isOpen !== null && <Caret.react tag="span" />}</span>
      <Icon.react tag="span" className="dj-File-icon" />
      <span className="dj-File-name">
        <Highlighted name={node.name} text={highlight} />
        {isDirectory && '/'}
      </span>
      {difference !== '' && (
        <span
          className={classes('dj-File-differs', differs === null ? 'dj-mod-below' : '')}
          title={difference}
          data-determined={differs === null ? 'below' : differs.ships ? 'ships' : 'leaves out'}
        >
          ≠
        </span>
      )}
      {!included && why !== null && (
        <span className="dj-File-rule">
          {why.short}
          <span className="dj-File-pattern">{rule?.pattern}</span>
        </span>
      )}
      {included && <span className="dj-File-size">{formatBytes(node.sizeBytes)}</span>}
      {offer !== null && (
        <span
          className="dj-File-offer"
          role="button"
          aria-label={`${offerText}: ${node.path}`}
          title={`${offerText}… (E)`}
          onClick={event => {
            event.stopPropagation();
            onEdit();
          }}
        >
          <OfferIcon.react tag="span" />
        </span>
      )}
      <span className="dj-File-mark" aria-hidden="true" />
    </div>
  );
}

/** The name with the piece that was searched for marked; of a path that was searched for, the piece that is the name. */
function Highlighted({ name, text }: { name: string; text: string }): JSX.Element {
  const piece = text.replace(/\/$/, '').split('/').at(-1) ?? '';
  const lower = name.toLowerCase();
  const start = piece === '' ? -1 : lower.indexOf(piece);
  // Some characters have a lower case of another length: then places in one are not places in the other.
  if (start < 0 || lower.length !== name.length) {
    return <>{name}</>;
  }
  return (
    <>
      {name.slice(0, start)}
      <mark>{name.slice(start, start + piece.length)}</mark>
      {name.slice(start + piece.length)}
    </>
  );
}

function differenceText(differs: RowProps['differs'], below: number, isDirectory: boolean): string {
  if (differs !== null) {
    const what = isDirectory && differs.count > 1 ? `${formatCount(differs.count)} files of this` : 'this';
    return differs.ships ? `Determined would ship ${what}` : `Determined would leave ${what} out`;
  }
  return below === 0
    ? ''
    : `Determined decides differently about ${formatCount(below)} ${below === 1 ? 'path' : 'paths'} in here`;
}

function tooltip(node: TreeNode, why: string | null): string {
  const lines = [node.path];
  if (node.isDirectory && node.files > 0) {
    lines.push(
      `${formatCount(node.files)} ${node.files === 1 ? 'file ships' : 'files ship'}, ${formatBytes(node.sizeBytes)}`
    );
  }
  if (node.leftOutBytes > 0) {
    lines.push(`${formatBytes(node.leftOutBytes)} left out`);
  }
  if (node.isSymlink) {
    lines.push(node.included ? 'A link: what it points to ships' : 'A link');
  }
  lines.push(why ?? (node.isListed ? 'Ships: no rule matches it' : ''));
  return lines.filter(line => line !== '').join('\n');
}
