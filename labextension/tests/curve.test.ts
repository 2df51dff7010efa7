import { describe, expect, it } from 'vitest';

import { Curve, join } from '../chart/curve';
import { PanelNames } from '../chart/names';
import { Curves } from '../src/model/curves';

/** A training curve of `points`: batch to value. */
function curve(points: readonly (readonly [number, number])[]): Curve {
  const made = new Curve('training', 'loss');
  made.apply(patch(0, points));
  return made;
}

function patch(start: number, points: readonly (readonly [number, number])[], name = 'loss') {
  return {
    group: 'training' as const,
    name,
    start,
    batches: points.map(([batch]) => batch),
    values: points.map(([, value]) => value)
  };
}

describe('a curve', () => {
  it('keeps the first points of a patch and takes the others in their place', () => {
    const loss = curve([
      [1, 0.9],
      [2, 0.8],
      [3, 0.7]
    ]);
    loss.apply(patch(1, [[4, 0.4]]));
    expect([...loss.batches]).toEqual([1, 4]);
    expect([...loss.values]).toEqual([0.9, 0.4]);
  });

  it('grows far beyond its first size and loses nothing', () => {
    const loss = curve([[0, 0]]);
    for (let batch = 1; batch < 3000; batch += 1) {
      loss.apply(patch(batch, [[batch, -batch]]));
    }
    expect(loss.length).toBe(3000);
    expect([loss.batches[2999], loss.values[2999]]).toEqual([2999, -2999]);
  });

  it.each([
    [-5, 0],
    [10, 0],
    [14, 0],
    [16, 1],
    [20, 1],
    [1e9, 2]
  ])('finds the point nearest to batch %d: number %d', (batch, index) => {
    const loss = curve([
      [10, 0],
      [20, 0],
      [30, 0]
    ]);
    expect(loss.nearest(batch)).toBe(index);
  });

  it('without points has none that is near', () => {
    expect(new Curve('training', 'loss').nearest(3)).toBe(-1);
  });
});

describe('curves that are drawn together', () => {
  it('share an x axis; where only another one has a point there is nothing, not a gap', () => {
    const table = join([curve([[1, 5], [3, 7]]), curve([[2, 6], [3, 8]])], false); // prettier-ignore
    expect(table.xs).toEqual([1, 2, 3]);
    expect(table.columns).toEqual([
      [5, undefined, 7],
      [undefined, 6, 8]
    ]);
  });

  it('have gaps where a value cannot be drawn, and know the points that no line reaches', () => {
    const table = join([curve([[1, NaN], [2, 5], [3, Infinity], [4, 6], [5, 7], [6, NaN], [7, 1]])], false); // prettier-ignore
    expect(table.columns[0]).toEqual([null, 5, null, 6, 7, null, 1]);
    expect(table.lone[0]).toEqual([1, 6]);
  });

  it('have gaps at zero and below on a logarithmic axis only', () => {
    const loss = curve([[1, -1], [2, 0], [3, 2]]); // prettier-ignore
    expect(join([loss], true).columns[0]).toEqual([null, null, 2]);
    expect(join([loss], false).columns[0]).toEqual([-1, 0, 2]);
  });
});

describe('the curves of a run', () => {
  it('come out again as patches from nothing, however they came in', () => {
    const curves = new Curves();
    curves.apply([patch(0, [[1, 0.5]]), patch(0, [[1, 3]], 'acc')]);
    curves.apply([{ ...patch(1, []), batches: [2], values: ['NaN'] }]);
    const [loss, acc] = curves.all();
    expect([loss?.start, [...Array.from(loss?.batches ?? [])], Array.from(loss?.values ?? [])]).toEqual([
      0,
      [1, 2],
      [0.5, NaN]
    ]);
    expect(acc?.name).toBe('acc');
  });

  it('refuse points that do not join on', () => {
    const curves = new Curves();
    expect(curves.apply([patch(0, [[1, 0.5]])])).toBe(true);
    expect(curves.apply([patch(5, [[6, 0.1]])])).toBe(false);
  });

  it('tell a chart what was added, and that everything was forgotten', () => {
    const curves = new Curves();
    const heard: (readonly string[] | null)[] = [];
    curves.patched.connect((_, patches) => heard.push(patches && patches.map(({ name }) => name)));
    curves.clear(); // there is nothing to forget yet
    curves.apply([patch(0, [[1, 1]])]);
    curves.clear();
    expect(heard).toEqual([['loss'], null]);
    expect(curves.isEmpty).toBe(true);
  });
});

describe('panels', () => {
  it('are shared by a training and a validation curve of the same metric', () => {
    const names = new PanelNames();
    expect([names.panelOf('training', 'loss'), names.panelOf('validation', 'val_loss')]).toEqual([
      'loss',
      'loss'
    ]);
  });

  it('are never shared by two curves of one group', () => {
    const names = new PanelNames();
    expect([names.panelOf('training', 'loss'), names.panelOf('training', 'val_loss')]).toEqual([
      'loss',
      'val_loss'
    ]);
    expect(names.panelOf('training', 'loss')).toBe('loss');
  });
});
