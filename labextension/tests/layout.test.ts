import { describe, expect, it } from 'vitest';

import { shareHeight } from '../src/layout';

const needs = (...heights: number[]): { height: number; weight: number }[] =>
  heights.map((height, index) => ({ height, weight: [0.4, 0.4, 0.2][index]! }));

describe('the sections of the panel', () => {
  it('get what they need, and the last one the rest', () => {
    expect(shareHeight(needs(100, 200, 50), 1000)).toEqual([100, 200, 700]);
  });

  it('share by weight what is too little for all', () => {
    expect(shareHeight(needs(900, 900, 900), 1000)).toEqual([400, 400, 200]);
  });

  it('give to a long one what a short one leaves', () => {
    expect(shareHeight(needs(100, 2000, 2000), 1000).map(Math.round)).toEqual([100, 600, 300]);
    const [definition, live, runs] = shareHeight(needs(2000, 300, 60), 1000).map(Math.round);
    expect([definition, live, runs]).toEqual([640, 300, 60]);
  });

  it.each([0, -5])('of %i pixels nothing', total => {
    expect(shareHeight(needs(1, 2, 3), total)).toEqual([0, 0, 0]);
  });

  it('always fill the panel', () => {
    for (const heights of [needs(0, 0, 0), needs(10, 5000, 10), needs(333, 333, 333), needs(999, 1, 1)]) {
      expect(shareHeight(heights, 777).reduce((sum, height) => sum + height)).toBeCloseTo(777);
    }
  });
});
