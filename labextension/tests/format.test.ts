import { describe, expect, it } from 'vitest';

import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatSeconds,
  formatTick,
  formatValue,
  toNumber
} from '../live/format';
import { formatAgo } from '../src/views/time';

describe('a value', () => {
  it.each([
    [0, '0'],
    [-0.5, '−0.5000'],
    [0.12345678, '0.1235'],
    [12.3456, '12.35'],
    [1234.567, '1235'],
    [7, '7'],
    [1e-5, '1.00e−5'],
    [1.5e7, '1.50e7'],
    [NaN, 'NaN'],
    [Infinity, '∞'],
    [-Infinity, '−∞']
  ])('%d has about four significant digits: %s', (value, text) => {
    expect(formatValue(value)).toBe(text);
  });

  it('that JSON cannot carry is spelled out in it, and is a number again', () => {
    expect((['NaN', 'Infinity', '-Infinity', 0.5] as const).map(toNumber)).toEqual([
      NaN,
      Infinity,
      -Infinity,
      0.5
    ]);
  });
});

it.each([
  [0.01, '0.01'],
  [250, '250'],
  [-3, '−3'],
  [2.5e-5, '2.5e−5'],
  [300_000, '3e5'],
  [0.30000000000000004, '0.3']
])('a tick %d is as short as it can be: %s', (value, text) => {
  expect(formatTick(value)).toBe(text);
});

it('a count has its thousands apart', () => {
  expect([999, 1000, 1_234_567].map(n => formatCount(n))).toEqual(['999', '1,000', '1,234,567']);
  expect([0, 11_111.11, 999.96].map(n => formatCount(n, 1))).toEqual(['0.0', '11,111.1', '1,000.0']);
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [99_499, '99.5 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [3.2e15, '3200 TB']
])('%d bytes are %s, in decimal units', (n, text) => {
  expect(formatBytes(n)).toBe(text);
});

it.each([
  [0.8324, '0.832'],
  [12, '12'],
  [12.345, '12.3'],
  [99.96, '100'],
  [1250.4, '1,250']
])('a rate of %d has three significant digits: %s', (rate, text) => {
  expect(formatRate(rate)).toBe(text);
});

describe('a duration', () => {
  it.each([
    [-1, '0.0 s'],
    [9.94, '9.9 s'],
    [10.4, '10 s'],
    [59.6, '1 min 0 s'],
    [3_700, '1 h 1 min'],
    [90_000, '1 d 1 h'],
    [NaN, '–'],
    [Infinity, '–']
  ])('of %d seconds is %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('of whole seconds has no tenths', () => {
    expect([0, 9, 61].map(formatSeconds)).toEqual(['0 s', '9 s', '1 min 1 s']);
  });
});

it.each([
  [59, 'just now'],
  [60, '1 min ago'],
  [7_199, '1 h ago'],
  [86_400 * 3, '3 d ago']
])('%d seconds ago is %s', (seconds, text) => {
  expect(formatAgo(1_000_000, 1_000_000 + seconds)).toBe(text);
});
