import { describe, expect, it } from 'vitest';

import { keyOf, titlesOf } from '../src/views/titles';

function titles(...runs: readonly [string, string][]): [string, boolean][] {
  const named = runs.map(([definition_root, entrypoint]) => ({ definition_root, entrypoint }));
  const found = titlesOf(named);
  return named.map(run => {
    const { directory, isModuleNeeded } = found.get(keyOf(run))!;
    return [directory, isModuleNeeded];
  });
}

describe('the title of a run', () => {
  it('is the entrypoint alone where no other run could be meant', () => {
    expect(titles(['/a/x', 'm:One'], ['/a/x', 'm:One'], ['/b/x', 'm:Two'])).toEqual([
      ['', false],
      ['', false],
      ['', false]
    ]);
  });

  it.each([
    ['the last directory, if it differs', ['/a/x', '/a/y'], ['x', 'y']],
    [
      'the last one that differs',
      ['/home/first/models/digits', '/home/second/models/digits'],
      ['first', 'second']
    ],
    ['as much as is needed of each', ['/p/a/m', '/p/b/m', '/p/other'], ['a', 'b', 'other']],
    ['the whole end, where one directory is not enough', ['/a/x/m', '/b/x/m', '/c/a'], ['a/x/m', 'b', 'a']],
    ['the whole path of one that another path ends with', ['/m', '/a/m'], ['m', 'a']],
    ['on Windows, too', ['C:\\first\\m', 'C:\\second\\m'], ['first', 'second']]
  ])('has %s', (_, roots, expected) => {
    const found = titles(...roots.map((root): [string, string] => [root, 'm:Trial']));
    expect(found.map(([directory]) => directory)).toEqual(expected);
    expect(new Set(expected).size).toBe(roots.length);
  });

  it('has the module where another module has a class of the same name', () => {
    expect(titles(['/a', 'one:Trial'], ['/a', 'two:Trial'], ['/a', 'two:Other'])).toEqual([
      ['', true],
      ['', true],
      ['', false]
    ]);
  });
});
