// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { Curve } from '../chart/curve';
import type { Panel } from '../chart/panel';
import { axesOf, type Facts } from '../chart/tools/axis';
import { keepChoices, readChoices } from '../chart/tools/choices';
import { interpolate } from '../chart/tools/clock';
import { cutName } from '../chart/tools/dom';
import { Layout, splitName } from '../chart/tools/layout';
import { isRaw, Lines } from '../chart/tools/lines';
import { lostValues } from '../chart/tools/marks';
import { withoutOutliers } from '../chart/tools/outliers';
import { moved } from '../chart/tools/pan';
import { fileName } from '../chart/tools/picture';
import { ChartRuns, runLook } from '../chart/tools/runs';
import { smooth } from '../chart/tools/smoothing';
import { csvOf, tableOf } from '../chart/tools/table';

function oneRun(facts: Facts): { id: string; facts: Facts }[] {
  return [{ id: '', facts }];
}

function curve(
  values: readonly number[],
  name = 'loss',
  group: 'training' | 'validation' = 'training',
  step = 1
): Curve {
  const made = new Curve(group, name);
  const batches = values.map((_, index) => (index + 1) * step);
  made.apply({ group, name, start: 0, batches, values });
  return made;
}

describe('smoothing', () => {
  it('begins with the curve itself and ends near its level', () => {
    const values = [1, ...Array.from({ length: 200 }, () => 3)];
    const smoothed = smooth(values, 0.9);
    expect(smoothed[0]).toBeCloseTo(1);
    expect(smoothed[1]).toBeCloseTo((0.9 * 1 + 3) / 1.9); // both count nearly the same, unlike without the correction
    expect(smoothed[200]).toBeCloseTo(3);
  });

  it('leaves a constant curve as it is, and skips what is not finite', () => {
    const smoothed = smooth([2, NaN, 2, Infinity, 2], 0.7);
    expect([smoothed[0], smoothed[2], smoothed[4]].map(value => value!.toFixed(6))).toEqual([
      '2.000000',
      '2.000000',
      '2.000000'
    ]);
    expect([smoothed[1], smoothed[3]]).toEqual([NaN, NaN]);
  });
});

describe('a range without outliers', () => {
  const ordinary = Array.from({ length: 1000 }, (_, index) => index / 1000);

  it('leaves out single values that are far away, on either side', () => {
    const [low, high] = withoutOutliers([...ordinary, 500, -80], [-80, 500]);
    expect(low).toBeGreaterThan(-0.1);
    expect(high).toBeLessThan(1.1);
  });

  it('is the whole range if nothing is far away, or if there are few values', () => {
    expect(withoutOutliers(ordinary, [0, 0.999])).toEqual([0, 0.999]);
    expect(withoutOutliers([1, 2, 100], [1, 100])).toEqual([1, 100]);
  });
});

describe('the x axis', () => {
  it('counts epochs and time only where they are known', () => {
    expect(axesOf(oneRun({ batchesPerEpoch: null, clock: null })).map(({ name }) => name)).toEqual(['batch']);
    const clock = { batches: [0, 100, 100, 200], at: [1000, 1010, 1100, 1110] };
    expect(axesOf(oneRun({ batchesPerEpoch: 50, clock })).map(({ name }) => name)).toEqual([
      'batch',
      'epoch',
      'relative',
      'wall'
    ]);
    expect(
      axesOf(oneRun({ batchesPerEpoch: 0, clock: { batches: [0], at: [5] } })).map(({ name }) => name)
    ).toEqual(['batch']);
  });

  it('leads from a batch to its place and back', () => {
    const clock = { batches: [0, 100, 200], at: [1000, 1010, 1110] };
    for (const axis of axesOf(oneRun({ batchesPerEpoch: 50, clock }))) {
      expect(axis.batchOf(axis.of(150, ''), '')).toBeCloseTo(150);
    }
    const [, epoch, relative] = axesOf(oneRun({ batchesPerEpoch: 50, clock }));
    expect(epoch!.of(125, '')).toBe(2.5);
    expect(relative!.of(150, '')).toBe(60);
    expect(relative!.words(60)).toBe('1 min 0 s');
  });

  it('puts the time of a pause between its two batches', () => {
    const [batches, at] = [
      [0, 100, 100, 200],
      [0, 10, 500, 510]
    ];
    expect(interpolate(batches, at, 50)).toBe(5);
    expect(interpolate(batches, at, 150)).toBe(505);
  });
});

describe('several runs', () => {
  const clock = (begin: number): Facts['clock'] => ({ batches: [0, 100], at: [begin, begin + 50] });
  const runs = [
    { id: 'a', name: 'baseline', facts: { batchesPerEpoch: 10, clock: clock(1000) } },
    { id: 'b', name: 'wider', facts: { batchesPerEpoch: 20, clock: clock(5000) } }
  ];

  it('have the places of their own epochs and times', () => {
    const [, epoch, relative, wall] = axesOf(runs);
    expect([epoch!.of(40, 'a'), epoch!.of(40, 'b'), epoch!.batchOf(2, 'b')]).toEqual([4, 2, 40]);
    expect([relative!.of(40, 'a'), relative!.of(40, 'b'), relative!.batchOf(20, 'b')]).toEqual([20, 20, 40]);
    expect([wall!.of(40, 'a'), wall!.of(40, 'b')]).toEqual([1020, 5020]);
  });

  it('share only an axis that all of them have', () => {
    const other = { id: 'c', facts: { batchesPerEpoch: null, clock: clock(0) } };
    expect(axesOf([...runs, other]).map(({ name }) => name)).toEqual(['batch', 'relative', 'wall']);
  });

  it('have twenty looks for each group, on a light and on a dark page', () => {
    for (const isDark of [false, true]) {
      const looks = Array.from({ length: 20 }, (_, place) => [
        JSON.stringify(runLook(place, 'training', isDark)),
        JSON.stringify(runLook(place, 'validation', isDark))
      ]).flat();
      expect(new Set(looks).size).toBe(40);
    }
    const dashes = ['training', 'validation'].map(group => runLook(0, group as 'training', false).dash);
    expect(dashes).toEqual([[], [6, 3]]);
  });

  it('keep their looks while others come and go, and one alone has that of its groups', () => {
    const all = new ChartRuns();
    const of = (run: string): unknown => all.lookOf(new Curve('training', 'loss', run), false).stroke;
    all.set(runs[0]!);
    expect(of('a')).toBeUndefined();
    all.set(runs[1]!);
    all.set({ ...runs[0]!, id: 'c' });
    const [a, c] = [of('a'), of('c')];
    expect(new Set([a, of('b'), c]).size).toBe(3);
    all.delete('b');
    expect([of('a'), of('c')]).toEqual([a, c]);
    all.set({ ...runs[0]!, name: 'renamed' });
    expect(all.nameOf(new Curve('validation', 'loss', 'a'))).toBe('renamed validation');
    all.delete('c');
    expect(of('a')).toBeUndefined();
  });

  it('have one name in the legend for values and average', () => {
    const values = Array.from({ length: 50 }, (_, index) => index);
    const lines = new Lines({ smoothing: 0.5, x: null, look: () => ({ label: 'a', stroke: '#123456' }) });
    const looks = lines.of([curve(values)]).map(({ look }) => [look.label, look.stroke]);
    expect(looks).toEqual([
      ['', '#123456'],
      ['a', '#123456']
    ]);
  });
});

describe('values that are no numbers', () => {
  const texts = (...values: number[]): string[] =>
    lostValues([curve(values)], ({ group }) => group).map(({ text }) => text);

  it('are a mark that says since when, or where', () => {
    expect(texts(1, 2, 3)).toEqual([]);
    expect(texts(1, NaN, NaN)).toEqual(['loss (training): not a number since batch 2']);
    expect(texts(1, Infinity, 3)).toEqual(['loss (training): infinite at batch 2']);
    expect(texts(1, Infinity, 3, NaN, 4)).toEqual(['loss (training): not a finite number at batches 2–4']);
  });

  it('are found when they arrive, and forgotten when a restore replaces them', () => {
    const loss = curve([1, 2]);
    const marks = (): string[] => lostValues([loss], ({ group }) => group).map(({ text }) => text);
    const { group, name } = loss;
    expect(marks()).toEqual([]);
    loss.apply({ group, name, start: 1, batches: [2], values: [NaN] });
    expect(marks()).toEqual(['loss (training): not a number since batch 2']);
    loss.apply({ group, name, start: 1, batches: [2], values: [3] });
    expect(marks()).toEqual([]);
  });
});

describe('lines', () => {
  it('are the curves themselves when nothing is done to them', () => {
    const curves = [curve([1, 2])];
    expect(new Lines({ smoothing: 0, x: null, look: null }).of(curves)).toBe(curves);
  });

  it('are the faint values and their average, the same objects at each drawing', () => {
    const loss = curve(Array.from({ length: 50 }, (_, index) => (index === 7 ? NaN : index)));
    const lines = new Lines({ smoothing: 0.5, x: batch => batch / 10, look: null });
    const [raw, smoothed] = lines.of([loss]);
    expect(raw!.look.alpha).toBeLessThan(1);
    expect([isRaw(raw!), isRaw(smoothed!)]).toEqual([true, false]);
    expect(raw!.batches[49]).toBe(5);
    expect(smoothed!.length).toBe(49); // the gap of the values is not one of the average
    loss.apply({ group: 'training', name: 'loss', start: 50, batches: [51], values: [51] });
    expect(lines.of([loss])).toEqual([raw, smoothed]);
    expect(raw!.length).toBe(51);
  });

  it('leave a curve of few points alone', () => {
    expect(
      new Lines({ smoothing: 0.9, x: null, look: null }).of([curve([3, 2, 1], 'accuracy', 'validation')])
    ).toHaveLength(1);
  });
});

describe('the layout', () => {
  const panelsOf = (...names: string[]): Panel[] =>
    names.map(name => ({ name, element: document.createElement('div') }) as unknown as Panel);
  const shownIn = (layout: Layout, panels: readonly Panel[]): string[][] =>
    Array.from(layout.element.querySelectorAll<HTMLElement>('.dj-section'))
      .filter(section => !section.hidden)
      .map(section =>
        panels.filter(({ element }) => section.contains(element) && !element.hidden).map(({ name }) => name)
      );
  const nothing = { filter: '', pinned: new Set<string>(), toggled: new Set<string>() };

  it('splits a name at its first slash, unless nothing is on one side of it', () => {
    expect(splitName('a/b/c')).toEqual(['a', 'b/c']);
    expect(splitName('loss')).toEqual([null, 'loss']);
    expect(splitName('/loss')).toEqual([null, '/loss']);
    expect(splitName('loss/')).toEqual([null, 'loss/']);
  });

  it('shows pinned panels first, then those without a group, then the groups, each in the order in which they came', () => {
    const panels = panelsOf('b/2', 'loss', 'a/1', 'b/1', 'error');
    const layout = new Layout(() => undefined);
    layout.arrange(panels, nothing);
    expect(shownIn(layout, panels)).toEqual([['loss', 'error'], ['b/2', 'b/1'], ['a/1']]);
    layout.arrange(panels, { ...nothing, pinned: new Set(['b/1']) });
    expect(shownIn(layout, panels)).toEqual([['b/1'], ['loss', 'error'], ['b/2'], ['a/1']]);
    layout.arrange(panels, nothing);
    expect(shownIn(layout, panels)).toEqual([['loss', 'error'], ['b/2', 'b/1'], ['a/1']]);
  });

  it('shows what contains every word of the filter, also in a closed group', () => {
    const panels = panelsOf('encoder/loss', 'encoder/norm', 'decoder/norm');
    const layout = new Layout(() => undefined);
    const closed = { ...nothing, toggled: new Set(['encoder']) };
    expect(layout.arrange(panels, closed)).toBe(3);
    const grid = panels[0]!.element.parentElement!;
    expect(grid.hidden).toBe(true);
    expect(layout.arrange(panels, { ...closed, filter: 'NORM enc' })).toBe(1);
    expect([grid.hidden, shownIn(layout, panels)]).toEqual([false, [['encoder/norm']]]);
  });

  it('closes the groups after the hundredth panel, and says which group the user toggled', () => {
    const panels = panelsOf(
      ...Array.from({ length: 130 }, (_, index) => `group${Math.floor(index / 10)}/m${index}`)
    );
    const toggle = vi.fn();
    const layout = new Layout(toggle);
    layout.arrange(panels, nothing);
    const heads = Array.from(layout.element.querySelectorAll('button'));
    expect(heads.map(head => head.getAttribute('aria-expanded'))).toEqual([
      ...Array<string>(10).fill('true'),
      'false',
      'false',
      'false'
    ]);
    heads[12]!.click();
    expect(toggle).toHaveBeenCalledWith('group12');
  });
});

describe('choices', () => {
  beforeEach(() => localStorage.clear());

  it('are kept for their definition only', () => {
    const chosen = { ...readChoices('digits'), smoothing: 0.6, pinned: ['loss'] };
    keepChoices('digits', chosen);
    expect(readChoices('digits')).toEqual(chosen);
    expect(readChoices('other').smoothing).toBe(0);
    keepChoices(null, chosen);
    expect(localStorage.length).toBe(1);
  });

  it.each(['{', '3', 'null', '{"axis": "x", "smoothing": 7, "pinned": "loss", "toggled": [1, "a"]}'])(
    'are the defaults where the browser has %s',
    text => {
      localStorage.setItem('detjupyter:charts:digits', text);
      const { axis, smoothing, pinned } = readChoices('digits');
      expect([axis, smoothing, pinned]).toEqual(['batch', 0, []]);
    }
  );
});

describe('values as text', () => {
  it('are a row for each batch, with what is not finite, and quoted names', () => {
    const curves = [curve([1, NaN, 3], 'a "b", c'), curve([0.5], 'acc', 'validation', 3)];
    expect(csvOf('batch', curves, ({ group }) => group).split('\r\n')).toEqual([
      'batch,"training a ""b"", c",validation acc',
      '1,1,',
      '2,NaN,',
      '3,3,0.5',
      ''
    ]);
  });

  it('are a table whose first row is the newest, and which says what it leaves out', () => {
    const box = tableOf(
      'batch',
      String,
      [curve(Array.from({ length: 1500 }, (_, index) => index))],
      ({ group }) => group
    );
    const rows = Array.from(box.querySelectorAll('tbody tr'), row => row.textContent);
    expect([rows.length, rows[0]]).toEqual([1000, '15001499']);
    expect(box.textContent).toContain('500 earlier rows');
  });

  it('get file names without what file systems refuse', () => {
    expect(fileName('val_loss', 'csv')).toBe('loss.csv');
    expect(fileName('a/../b: <ü>', 'png')).toBe('a-..-b-ü-.png');
  });
});

it('moves a range by a share of its width, and zooms around its middle', () => {
  expect(moved([100, 200], 0.2)).toEqual([120, 220]);
  expect(moved([100, 200], 0, 0.5)).toEqual([125, 175]);
});

it('cuts names in front of their last characters', () => {
  const [start, end] = cutName('mean_per_class_accuracy');
  expect([start!.textContent, end!.textContent]).toEqual(['mean_per_class_', 'accuracy']);
});
