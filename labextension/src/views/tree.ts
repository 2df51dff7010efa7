/** The flat list of a definition's paths as a tree, and the tree's rows as they are shown. */
import type { FileRecord } from '../../protocol';

export interface TreeNode {
  /** Without a final slash. */
  path: string;
  name: string;
  depth: number;
  isDirectory: boolean;
  sizeBytes: number;
  /** Whether it ships; a directory does when anything in it does. */
  included: boolean;
  /** The record that says so itself; directories between files have none. */
  record: FileRecord | null;
  children: TreeNode[];
}

/** Up to so many rows the whole tree is open at first. */
const OPEN_AT_FIRST = 40;

/** Return the nodes at the top: directories first, then by name. */
export function buildTree(files: readonly FileRecord[]): TreeNode[] {
  const root = directory('', '', -1);
  const directories = new Map<string, TreeNode>([['', root]]);
  for (const file of files) {
    const isDirectory = file.path.endsWith('/');
    const path = isDirectory ? file.path.slice(0, -1) : file.path;
    const slash = path.lastIndexOf('/');
    const parent = ensure(directories, path.slice(0, Math.max(slash, 0)));
    parent.children.push({
      path,
      name: path.slice(slash + 1),
      depth: parent.depth + 1,
      isDirectory: isDirectory || file.kind === 'directory',
      sizeBytes: file.size_bytes,
      included: file.included,
      record: file,
      children: []
    });
  }
  sum(root);
  return root.children;
}

/** Return the nodes that are on display, top to bottom, given which directories are open. */
export function visibleRows(nodes: readonly TreeNode[], isOpen: (node: TreeNode) => boolean): TreeNode[] {
  const rows: TreeNode[] = [];
  const visit = (node: TreeNode): void => {
    rows.push(node);
    if (node.children.length > 0 && isOpen(node)) {
      node.children.forEach(visit);
    }
  };
  nodes.forEach(visit);
  return rows;
}

/** Whether the directories of a tree of so many paths are open before anyone has touched them. */
export function opensByItself(paths: number): boolean {
  return paths <= OPEN_AT_FIRST;
}

/** Return why `file` ships or not, for a tooltip and, shorter, for the row. */
export function ruleOf(file: FileRecord): { short: string; full: string } | null {
  if (file.source === null) {
    return null;
  }
  const verdict = file.included ? 'Ships' : 'Left out';
  const pattern = file.pattern ?? '';
  if (file.line !== null) {
    return {
      short: `${file.source}:${file.line}`,
      full: `${verdict}: ${file.source} line ${file.line}: ${pattern}`
    };
  }
  return { short: 'built in', full: `${verdict}: built-in rule (${file.source}): ${pattern}` };
}

function directory(path: string, name: string, depth: number): TreeNode {
  return { path, name, depth, isDirectory: true, sizeBytes: 0, included: false, record: null, children: [] };
}

function ensure(directories: Map<string, TreeNode>, path: string): TreeNode {
  const known = directories.get(path);
  if (known !== undefined) {
    return known;
  }
  const slash = path.lastIndexOf('/');
  const parent = ensure(directories, path.slice(0, Math.max(slash, 0)));
  const node = directory(path, path.slice(slash + 1), parent.depth + 1);
  parent.children.push(node);
  directories.set(path, node);
  return node;
}

/** Give every directory the bytes and the verdict of what is in it, and put its children in order. */
function sum(node: TreeNode): void {
  for (const child of node.children) {
    if (child.children.length > 0) {
      sum(child);
    }
    if (child.included) {
      node.included = true;
      node.sizeBytes += child.sizeBytes;
    }
  }
  node.children.sort(
    (a, b) =>
      Number(b.isDirectory) - Number(a.isDirectory) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}
