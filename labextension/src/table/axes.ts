/** Values of runs as places on an axis: numbers on a linear or logarithmic one, everything else as categories. */
import { formatTick, formatValue } from '../../live/format';
import type { ComparedAxis } from '../../protocol';

/** From this ratio of the largest to the smallest value on, an axis of positive values is logarithmic. */
const SPANS_DECADES = 100;
const MOST_TICKS = 5;
/** So many different numbers are shown as categories, with the same distance between them. */
const FEW = 2;

export interface Tick {
  /** From 0 at the lower end of the axis to 1 at the upper one. */
  place: number;
  label: string;
}

/** What a range of an axis lets through: numbers from `low` to `high`, or categories. */
export type Filter =
  { kind: 'range'; low: number; high: number } | { kind: 'only'; texts: readonly string[] };

export interface Axis {
  /** It differs from that of all other axes. */
  id: string;
  label: string;
  isMetric: boolean;
  kind: 'linear' | 'log' | 'category';
  ticks: readonly Tick[];
  /** The place of each run, null without a value, or with NaN or an infinity. */
  places: readonly (number | null)[];
  /** The value of each run as text, '' without one. */
  texts: readonly string[];
  /** Finite numbers; null for others, and all of them on an axis of categories. */
  numbers: readonly (number | null)[];
  low: number;
  high: number;
}

export function axisOf(found: ComparedAxis): Axis {
  const isMetric = found.kind !== 'hyperparameter';
  const values = found.values.map(value => (isMetric && value !== null ? Number(value) : value));
  const texts = values.map(value =>
    value === null ? '' : typeof value === 'number' ? formatValue(value) : toText(value)
  );
  const common = {
    id: `${found.kind}.${found.name}`,
    label:
      found.kind === 'hyperparameter' || found.kind === 'validation'
        ? found.name
        : `${found.name} (${found.kind})`,
    isMetric,
    texts
  };
  const isText = values.some(value => typeof value === 'string');
  const numbers = values.map(value => (typeof value === 'number' && Number.isFinite(value) ? value : null));
  const finite = numbers.filter(value => value !== null);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  if (isText || (!isMetric && new Set(finite).size <= FEW)) {
    return { ...common, ...categories(values, texts), numbers: values.map(() => null), low: 0, high: 0 };
  }
  const kind = low > 0 && high / low >= SPANS_DECADES ? 'log' : 'linear';
  const axis = { ...common, kind, numbers, low, high, places: [], ticks: [] } as const;
  const ticks = finite.length === 0 ? [] : kind === 'log' ? decades(low, high) : rounds(low, high);
  return {
    ...axis,
    places: numbers.map(value => (value === null ? null : placeOf(axis, value))),
    ticks: ticks.map(value => ({ place: placeOf(axis, value), label: formatTick(value) }))
  };
}

type Numbers = Pick<Axis, 'kind' | 'low' | 'high'>;

export function placeOf({ kind, low, high }: Numbers, value: number): number {
  const [from, to, at] = kind === 'log' ? [low, high, value].map(Math.log10) : [low, high, value];
  return to === from ? 0.5 : (at! - from!) / (to! - from!);
}

/** Return the value at a place, which need not be between 0 and 1. */
export function valueAt({ kind, low, high }: Numbers, place: number): number {
  return kind === 'log' ? low * (high / low) ** place : low + (high - low) * place;
}

/** Return what lies between two places of an axis; null if nothing does. */
export function filterBetween(axis: Axis, from: number, to: number): Filter | null {
  const [low, high] = [Math.min(from, to), Math.max(from, to)];
  if (axis.kind !== 'category') {
    return { kind: 'range', low: valueAt(axis, Math.max(0, low)), high: valueAt(axis, Math.min(1, high)) };
  }
  const texts = axis.ticks.filter(({ place }) => place >= low && place <= high).map(({ label }) => label);
  return texts.length === 0 ? null : { kind: 'only', texts };
}

/** Return the places between which a filter lies. */
export function spanOf(axis: Axis, filter: Filter): [low: number, high: number] {
  if (filter.kind === 'range') {
    return [Math.max(0, placeOf(axis, filter.low)), Math.min(1, placeOf(axis, filter.high))];
  }
  const places = axis.ticks.filter(({ label }) => filter.texts.includes(label)).map(({ place }) => place);
  return [Math.min(...places), Math.max(...places)];
}

export type Filters = ReadonlyMap<string, Filter>;

/** Return whether a run is in the ranges of all axes; one without a value is in no range. */
export function isIn(run: number, axes: readonly Axis[], filters: Filters): boolean {
  return axes.every(axis => {
    const filter = filters.get(axis.id);
    if (filter === undefined) {
      return true;
    }
    if (filter.kind === 'only') {
      return filter.texts.includes(axis.texts[run] ?? '');
    }
    const value = axis.numbers[run] ?? null;
    return value !== null && value >= filter.low && value <= filter.high;
  });
}

/** The ends of the colors of a metric: they differ in hue and in lightness, for every kind of color vision. */
const COLORS = { light: ['#d07a00', '#3d1d94'], dark: ['#8f7bff', '#ffe08a'] } as const;

/** Return the color at a place of an axis, gray for a run without a value. */
export function colorAt(place: number | null, isDark: boolean): string {
  if (place === null) {
    return '#808080';
  }
  const [low, high] = COLORS[isDark ? 'dark' : 'light'];
  const part = (color: string, at: number): number => parseInt(color.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map(at => Math.round(part(low, at) + (part(high, at) - part(low, at)) * place));
  return `rgb(${mixed.join(', ')})`;
}

/** The server sends all other values as text. */
function toText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function categories(
  values: readonly unknown[],
  texts: readonly string[]
): Pick<Axis, 'kind' | 'places' | 'ticks'> {
  const sorted = [...new Set(texts.filter(text => text !== ''))].sort(
    (a, b) => valueOf(a, values, texts) - valueOf(b, values, texts) || a.localeCompare(b)
  );
  const place = (text: string): number =>
    sorted.length === 1 ? 0.5 : sorted.indexOf(text) / (sorted.length - 1);
  return {
    kind: 'category',
    places: texts.map(text => (text === '' ? null : place(text))),
    ticks: sorted.map(label => ({ place: place(label), label }))
  };
}

/** Numbers come before texts. */
function valueOf(text: string, values: readonly unknown[], texts: readonly string[]): number {
  const value = values[texts.indexOf(text)];
  return typeof value === 'number' ? value : Number.MAX_VALUE;
}

/** Return the powers of ten in a range, not all of them if there are many; the ends of the range if it has fewer than two. */
function decades(low: number, high: number): number[] {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const step = Math.ceil((last - first + 1) / MOST_TICKS);
  const found: number[] = [];
  for (let power = first; power <= last; power += step) {
    found.push(Number(`1e${power}`));
  }
  return found.length < 2 ? [low, high] : found;
}

/** Return round numbers in a range. */
function rounds(low: number, high: number): number[] {
  if (low === high) {
    return [low];
  }
  const rough = (high - low) / MOST_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(factor => factor * power).find(size => size >= rough) ?? rough;
  const found: number[] = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}
