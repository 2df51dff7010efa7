/** Compared runs: values as places on axes, ranges of axes, and events by batch. */
import type * as React from 'react';
import { describe, expect, it } from 'vitest';

import type { ComparedAxis } from '../protocol';
import { axisOf, colorAt, filterBetween, type Filters, isIn, spanOf } from '../src/table/axes';
import { rowsOf } from '../src/table/event_rows';
import { steering, fitted } from '../src/table/plot';

const of = (values: ComparedAxis['values'], kind = 'hyperparameter'): ReturnType<typeof axisOf> =>
  axisOf({ name: 'x', kind, values });

describe('an axis', () => {
  it('of numbers is linear, with round ticks', () => {
    const axis = of([10, 20, 14, null]);
    expect(axis.kind).toBe('linear');
    expect(axis.places).toEqual([0, 1, 0.4, null]);
    expect(axis.ticks.map(({ label }) => label)).toEqual(['10', '12', '14', '16', '18', '20']);
    expect(axis.texts).toEqual(['10', '20', '14', '']);
  });

  it('of values that span decades is logarithmic', () => {
    const axis = of([1e-4, 1e-1, 1e-2]);
    expect(axis.kind).toBe('log');
    expect(axis.places[2]).toBeCloseTo(2 / 3);
    expect(axis.ticks.map(({ label }) => label)).toEqual(['1e−4', '0.001', '0.01', '0.1']);
    expect(of([0, 1e-4, 1]).kind).toBe('linear');
  });

  it('has few ticks, and two also within a decade', () => {
    expect(of([1e-30, 1, 1e30]).ticks.length).toBeLessThanOrEqual(5);
    expect(of([0.2, 3, 25]).ticks.length).toBeGreaterThan(1);
  });

  it('of texts, or of two numbers, has categories, the numbers first', () => {
    const axis = of(['sgd', 8, 'adam', 64, null]);
    expect(axis.kind).toBe('category');
    expect(axis.ticks.map(({ label }) => label)).toEqual(['8', '64', 'adam', 'sgd']);
    expect(axis.places).toEqual([1, 0, 2 / 3, 1 / 3, null]);
    expect(of([1, 2, 1]).kind).toBe('category');
  });

  it('of a metric has no place for NaN and infinities, and names them', () => {
    const axis = of([1, 'NaN', 3, '-Infinity'], 'validation');
    expect(axis.kind).toBe('linear');
    expect(axis.places).toEqual([0, null, 1, null]);
    expect(axis.texts).toEqual(['1', 'NaN', '3', '−∞']);
  });

  it('of one value has it in the middle', () => {
    expect(of([3, 3, null], 'training').places).toEqual([0.5, 0.5, null]);
  });
});

describe('a range', () => {
  const lr = axisOf({ name: 'lr', kind: 'hyperparameter', values: [1e-4, 1e-3, 1e-2, null] });
  const kind = axisOf({ name: 'kind', kind: 'hyperparameter', values: ['a', 'b', 'c', 'a'] });
  const shown = (filters: Filters): number[] => [0, 1, 2, 3].filter(run => isIn(run, [lr, kind], filters));

  it('that is drawn on an axis keeps the runs in it, and none without a value', () => {
    const filter = filterBetween(lr, 0.8, -0.2)!;
    expect(shown(new Map([[lr.id, filter]]))).toEqual([0, 1]);
    expect(spanOf(lr, filter)).toEqual([0, expect.closeTo(0.8)]);
  });

  it('of categories keeps those that it touches', () => {
    const filter = filterBetween(kind, 0.4, 1)!;
    expect(filter).toEqual({ kind: 'only', texts: ['b', 'c'] });
    expect(shown(new Map([[kind.id, filter]]))).toEqual([1, 2]);
    expect(filterBetween(kind, 0.1, 0.3)).toBeNull();
  });

  it('counts together with those of other axes', () => {
    expect(
      shown(
        new Map([
          [lr.id, { kind: 'range', low: 1e-3, high: 1 }],
          [kind.id, { kind: 'only', texts: ['a', 'b'] }]
        ])
      )
    ).toEqual([1]);
  });
});

describe('the colors of a metric', () => {
  it('go from one to another, and a run without a value is gray', () => {
    expect(colorAt(0, false)).toBe('rgb(208, 122, 0)');
    expect(colorAt(1, false)).toBe('rgb(61, 29, 148)');
    expect(colorAt(null, true)).toBe('#808080');
  });
});

describe('a plot', () => {
  it('is gone through by arrow keys, over the runs in the ranges', () => {
    const seen: (number | null)[] = [];
    const press = (key: string, active: number | null): void => {
      const props = {
        names: ['a', 'b', 'c'],
        colors: [],
        isShown: [true, false, true],
        active,
        onActive: (run: number | null) => seen.push(run)
      };
      const event = { key, preventDefault: () => undefined };
      steering(props, 'Runs').onKeyDown!(event as unknown as React.KeyboardEvent<SVGSVGElement>);
    };
    press('ArrowRight', null);
    press('ArrowRight', 0);
    press('ArrowRight', 2);
    press('ArrowLeft', null);
    press('ArrowLeft', 0);
    press('Home', 0);
    expect(seen).toEqual([0, 2, 0, 2, 2]);
  });

  it('cuts names that are too long', () => {
    expect(fitted('a_very_long_name', 40)).toBe('a_ver…');
    expect(fitted('lr', 40)).toBe('lr');
  });
});

describe('events by batch', () => {
  const mark = (
    kind: string,
    batches_trained: number
  ): { kind: string; batches_trained: number; text: string } => ({
    kind,
    batches_trained,
    text: `${kind} ${batches_trained}`
  });
  const events = [
    { marks: [mark('validation', 10), mark('checkpoint', 10), mark('end', 30)], more: 0 },
    { marks: [mark('pause', 5), mark('validation', 10)], more: 2 }
  ];
  const texts = (hidden: readonly string[]): unknown =>
    rowsOf(events, hidden).map(({ batch, cells }) => [
      batch,
      ...cells.map(cell => cell.map(({ text }) => text))
    ]);

  it('have a row for each batch, with a cell for each run', () => {
    expect(texts([])).toEqual([
      [5, [], ['pause 5']],
      [10, ['validation 10', 'checkpoint 10'], ['validation 10']],
      [30, ['end 30'], []]
    ]);
  });

  it('are of the chosen kinds', () => {
    expect(texts(['validation', 'pause'])).toEqual([
      [10, ['checkpoint 10'], []],
      [30, ['end 30'], []]
    ]);
  });
});
