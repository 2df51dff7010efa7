/** A definition's paths as a tree, and the tree's rows as they are shown: by name or biggest first, all or those searched for. */
import type { DefinitionRecord, DeterminedRecord, RuleRecord } from '../../protocol';

export type Order = 'name' | 'size';

export interface TreeNode {
  /** Without a final slash. */
  path: string;
  name: string;
  lower: string;
  depth: number;
  parent: TreeNode | null;
  isDirectory: boolean;
  isSymlink: boolean;
  /** What ships of it. */
  sizeBytes: number;
  /** What is left out of it, as far as it was looked at. */
  leftOutBytes: number;
  /** Files that ship. */
  files: number;
  /** Whether it ships; a directory does when anything in it does. */
  included: boolean;
  /** Whether the listing names it; other directories are there only because of the files in them. */
  isListed: boolean;
  rule: RuleRecord | null;
  children: TreeNode[];
  /** The order that the children are in at present. */
  order: Order | null;
  /** The search in which this was last found, itself or something below it. */
  found: number;
  foundBelow: number;
}

/** A node on display, and its place among the nodes on display that have the same parent. */
export interface Row {
  node: TreeNode;
  /** From 1. */
  position: number;
  /** How many of them there are. */
  setSize: number;
}

/** What the rows of a tree depend on. `toggled` holds the directories that are not as they would be by themselves. */
export interface Sight {
  order: Order;
  toggled: ReadonlySet<string>;
  search: Search | null;
}

/** A search that has been made: its number, and how many paths it found. */
export interface Search {
  turn: number;
  hits: number;
  /** Whether directories that hold hits are open; not when there are very many. */
  opens: boolean;
}

/** Up to this number of paths the whole tree is open at first. */
const OPEN_AT_FIRST = 40;
/** Up to this number of hits the directories that hold them open by themselves. */
const OPEN_WHEN_FOUND = 2000;

export class FileTree {
  constructor(record: DefinitionRecord) {
    const { paths, sizes, rules, symlinks } = record.files;
    const links = new Set(symlinks);
    const directories = new Map<string, TreeNode>([['', this.root]]);
    paths.forEach((listed, index) => {
      const isDirectory = listed.endsWith('/');
      const path = isDirectory ? listed.slice(0, -1) : listed;
      const parent = this.ensure(directories, path.slice(0, Math.max(path.lastIndexOf('/'), 0)));
      const rule = record.rules[rules[index] ?? -1] ?? null;
      const node = createNode(path, parent, isDirectory);
      const size = sizes[index] ?? 0;
      node.isListed = true;
      node.isSymlink = links.has(index);
      node.rule = rule;
      node.included = rule?.includes ?? true;
      node.files = Number(node.included);
      node[node.included ? 'sizeBytes' : 'leftOutBytes'] = size;
      this.nodes.push(node);
    });
    // Parents come before their children: in reverse, every sum is complete when it is needed.
    for (let index = this.nodes.length - 1; index >= 0; index--) {
      const node = this.nodes[index] as TreeNode;
      const parent = node.parent ?? this.root;
      parent.sizeBytes += node.sizeBytes;
      parent.leftOutBytes += node.leftOutBytes;
      parent.files += node.files;
      parent.included ||= node.included;
    }
    this._opensByItself = paths.length <= OPEN_AT_FIRST;
  }

  readonly root = createNode('', null, true);
  /** All nodes but the root, parents before their children. */
  readonly nodes: TreeNode[] = [];

  /** Find the paths that `matches`, in one pass; what is above a hit is marked on the way. */
  search(matches: (node: TreeNode) => boolean): Search {
    const turn = ++this._turn;
    let hits = 0;
    for (const node of this.nodes) {
      if (matches(node)) {
        hits++;
        node.found = turn;
        for (let above = node.parent; above !== null && above.foundBelow !== turn; above = above.parent) {
          above.foundBelow = turn;
        }
      }
    }
    return { turn, hits, opens: hits <= OPEN_WHEN_FOUND };
  }

  isOpen(node: TreeNode, { toggled, search }: Sight): boolean {
    const byItself = search === null ? this._opensByItself : search.opens && node.foundBelow === search.turn;
    return toggled.has(node.path) !== byItself;
  }

  /** Return the rows that are on display, top to bottom. */
  rows(sight: Sight): Row[] {
    const rows: Row[] = [];
    const { order, search } = sight;
    const visit = (parent: TreeNode, isInHit: boolean): void => {
      const all = sorted(parent, order);
      const shown = search === null || isInHit ? all : all.filter(node => isNear(node, search));
      shown.forEach((node, index) => {
        rows.push({ node, position: index + 1, setSize: shown.length });
        if (node.children.length > 0 && this.isOpen(node, sight)) {
          visit(node, isInHit || (search !== null && node.found === search.turn));
        }
      });
    };
    visit(this.root, false);
    return rows;
  }

  private ensure(directories: Map<string, TreeNode>, path: string): TreeNode {
    const known = directories.get(path);
    if (known !== undefined) {
      return known;
    }
    const parent = this.ensure(directories, path.slice(0, Math.max(path.lastIndexOf('/'), 0)));
    const node = createNode(path, parent, true);
    directories.set(path, node);
    this.nodes.push(node);
    return node;
  }

  private readonly _opensByItself: boolean;
  private _turn = 0;
}

/** Return whether a node's name holds `text` (lower case), or its path if there is a slash in it. */
export function matcher(text: string): (node: TreeNode) => boolean {
  return text.includes('/')
    ? node => `${node.path.toLowerCase()}${node.isDirectory ? '/' : ''}`.includes(text)
    : node => node.lower.includes(text);
}

/** What Determined's uploader does differently: by path, and for directories how many paths below. */
export class Differences {
  constructor(record: DeterminedRecord) {
    record.paths.forEach((listed, index) => {
      const path = listed.endsWith('/') ? listed.slice(0, -1) : listed;
      const count = record.counts[index] ?? 1;
      this.at.set(path, { ships: record.ships[index] ?? false, count });
      for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
        const above = path.slice(0, slash);
        this.below.set(above, (this.below.get(above) ?? 0) + count);
      }
    });
  }

  readonly at = new Map<string, { ships: boolean; count: number }>();
  readonly below = new Map<string, number>();
}

/** Return why a path ships or not, for a tooltip and, shorter, for the row. */
export function ruleText(rule: RuleRecord): { short: string; full: string } {
  const verdict = rule.includes ? 'Ships' : 'Left out';
  if (rule.line !== null) {
    return {
      short: `${rule.source}:${rule.line}`,
      full: `${verdict}: ${rule.source} line ${rule.line}: ${rule.pattern}`
    };
  }
  return rule.source === 'always'
    ? { short: 'always', full: `${verdict}, always: ${rule.pattern}` }
    : {
        short: 'built in',
        full: `${verdict}: built-in rule, which .detignore may overrule: ${rule.pattern}`
      };
}

/** What the user can do with a node: exclude it, include it, or nothing. */
export function offerOf(node: TreeNode): 'exclude' | 'include' | null {
  if (node.included) {
    return 'exclude';
  }
  const rule = node.rule ?? node.children.find(child => child.rule !== null)?.rule ?? null;
  return rule?.source === 'always' || node.path === '.' ? null : 'include';
}

/** Return the path as the server lists it: with a final slash for a directory. */
export function listedPath(node: TreeNode): string {
  return node.isDirectory ? `${node.path}/` : node.path;
}

/** Whether a search has found the node, or something below it. */
function isNear(node: TreeNode, { turn }: Search): boolean {
  return node.found === turn || node.foundBelow === turn;
}

function createNode(path: string, parent: TreeNode | null, isDirectory: boolean): TreeNode {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const node: TreeNode = {
    path,
    name,
    lower: name.toLowerCase(),
    depth: parent === null ? -1 : parent.depth + 1,
    parent,
    isDirectory,
    isSymlink: false,
    sizeBytes: 0,
    leftOutBytes: 0,
    files: 0,
    included: false,
    isListed: false,
    rule: null,
    children: [],
    order: null,
    found: 0,
    foundBelow: 0
  };
  parent?.children.push(node);
  return node;
}

/** Return the children in order; they are put in order when they are first looked at, so a closed directory costs nothing. */
function sorted(node: TreeNode, order: Order): TreeNode[] {
  if (node.order !== order) {
    node.order = order;
    node.children.sort(order === 'size' ? bySize : byName);
  }
  return node.children;
}

function byName(a: TreeNode, b: TreeNode): number {
  return Number(b.isDirectory) - Number(a.isDirectory) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

function bySize(a: TreeNode, b: TreeNode): number {
  return b.sizeBytes - a.sizeBytes || b.leftOutBytes - a.leftOutBytes || byName(a, b);
}
