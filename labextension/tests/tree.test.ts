import { describe, expect, it } from 'vitest';

import type { Order, Search, Sight } from '../src/views/tree';
import { Differences, FileTree, listedPath, matcher, offerOf } from '../src/views/tree';
import { definition } from './records';

const FILES = {
  '!data/': 9000,
  'model_def.py': 100,
  'nets/deep/layers.py': 3000,
  'nets/small.py': 500,
  'readme.md': 100
};

function sight(fields: { order?: Order; toggled?: string[]; search?: Search | null } = {}): Sight {
  return { order: fields.order ?? 'name', toggled: new Set(fields.toggled), search: fields.search ?? null };
}

function paths(tree: FileTree, at: Sight = sight()): string[] {
  return tree.rows(at).map(({ node }) => listedPath(node));
}

/** A definition with so many files in `many/`, so that no folder is open by itself. */
function large(count = 50): FileTree {
  const names = Array.from(
    { length: count },
    (_, index) => `many/part${index % 5}/image${String(index).padStart(3, '0')}.png`
  );
  return new FileTree(
    definition(Object.fromEntries([...names.map(name => [name, 1] as const), ['train.py', 1]]))
  );
}

describe('a tree', () => {
  it('has folders first, then files, each by name, and is open while it is small', () => {
    expect(paths(new FileTree(definition(FILES)))).toEqual([
      'data/',
      'nets/',
      'nets/deep/',
      'nets/deep/layers.py',
      'nets/small.py',
      'model_def.py',
      'readme.md'
    ]);
  });

  it('sums up in a folder what ships of it and what is left out', () => {
    const tree = new FileTree(definition({ ...FILES, '!nets/notes.log': 40 }));
    const nets = tree.nodes.find(({ path }) => path === 'nets');
    expect([nets?.sizeBytes, nets?.files, nets?.leftOutBytes, nets?.included]).toEqual([3500, 2, 40, true]);
    expect(tree.root.files).toBe(4);
    const data = tree.nodes.find(({ path }) => path === 'data');
    expect([data?.included, data?.sizeBytes, data?.leftOutBytes]).toEqual([false, 0, 9000]);
  });

  it('biggest first orders empty files by their names', () => {
    const rows = paths(new FileTree(definition(FILES)), sight({ order: 'size' }));
    expect(rows).toEqual([
      'nets/',
      'nets/deep/',
      'nets/deep/layers.py',
      'nets/small.py',
      'model_def.py',
      'readme.md',
      'data/'
    ]);
  });

  it('is closed when it is large, and opens folder by folder', () => {
    const tree = large();
    expect(paths(tree)).toEqual(['many/', 'train.py']);
    expect(paths(tree, sight({ toggled: ['many', 'many/part0'] }))).toHaveLength(2 + 5 + 10);
  });
});

describe('every row', () => {
  it('knows its place among its siblings, also of those that are not on the page', () => {
    const rows = new FileTree(definition(FILES)).rows(sight());
    expect(rows.map(({ node, position, setSize }) => `${node.name} ${position}/${setSize}`)).toEqual([
      'data 1/4',
      'nets 2/4',
      'deep 1/2',
      'layers.py 1/1',
      'small.py 2/2',
      'model_def.py 3/4',
      'readme.md 4/4'
    ]);
  });

  it('in a search counts only the siblings that are shown', () => {
    const tree = new FileTree(definition(FILES));
    const rows = tree.rows(sight({ search: tree.search(matcher('.py')) }));
    expect(rows.map(({ node, position, setSize }) => `${node.name} ${position}/${setSize}`)).toEqual([
      'nets 1/2',
      'deep 1/2',
      'layers.py 1/1',
      'small.py 2/2',
      'model_def.py 2/2'
    ]);
  });
});

describe('a search', () => {
  it('shows what it finds and the folders above it, whatever the case', () => {
    const tree = large();
    const search = tree.search(matcher('image007'));
    expect(search.hits).toBe(1);
    expect(paths(tree, sight({ search }))).toEqual(['many/', 'many/part2/', 'many/part2/image007.png']);
    const upper = new FileTree(definition({ 'README.md': 1 }));
    expect(upper.search(matcher('readme')).hits).toBe(1);
  });

  it('with a slash in it searches the whole path', () => {
    const tree = new FileTree(definition(FILES));
    expect(paths(tree, sight({ search: tree.search(matcher('nets/s')) }))).toEqual([
      'nets/',
      'nets/small.py'
    ]);
    expect(tree.search(matcher('deep/')).hits).toBe(2);
  });

  it('that finds a folder shows all that is in it once it is opened', () => {
    const tree = large();
    const search = tree.search(matcher('part1'));
    expect(paths(tree, sight({ search }))).toEqual(['many/', 'many/part1/']);
    expect(paths(tree, sight({ search, toggled: ['many/part1'] }))).toHaveLength(2 + 10);
  });

  it('that finds nothing shows nothing, and the next one is not misled by it', () => {
    const tree = large();
    tree.search(matcher('image'));
    expect(paths(tree, sight({ search: tree.search(matcher('nothing like it')) }))).toEqual([]);
    expect(paths(tree)).toEqual(['many/', 'train.py']);
  });

  it('with thousands of hits leaves the folders closed', () => {
    const tree = large(3000);
    const search = tree.search(matcher('image'));
    expect(search.hits).toBe(3000);
    expect(paths(tree, sight({ search }))).toEqual(['many/']);
  });
});

describe('what is offered', () => {
  it('is to exclude what ships, and to include what a rule leaves out', () => {
    const tree = new FileTree(definition(FILES));
    const offer = (path: string) => offerOf(tree.nodes.find(node => node.path === path)!);
    expect([offer('nets'), offer('model_def.py'), offer('data')]).toEqual(['exclude', 'exclude', 'include']);
  });

  it('is nothing for what never ships', () => {
    const record = definition({ '!.git/': 1 });
    const never = { ...record, rules: [{ source: 'always', line: null, pattern: '.git', includes: false }] };
    expect(offerOf(new FileTree(never).nodes[0]!)).toBeNull();
  });
});

it('differences from Determined are counted in every folder above', () => {
  const differences = new Differences({
    path: 'digits',
    paths: ['nets/deep/layers.py', 'nets/data/', 'top.py'],
    ships: [false, true, false],
    counts: [1, 30, 1],
    total: 32,
    problems: []
  });
  expect(differences.at.get('nets/data')).toEqual({ ships: true, count: 30 });
  expect([differences.below.get('nets/deep'), differences.below.get('nets')]).toEqual([1, 31]);
});
