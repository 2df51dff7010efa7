import type uPlot from 'uplot';

import type { Group } from '../protocol';

/** Points of one curve: keep the first `start` points you have, then append these. */
export interface ChartPatch {
  group: Group;
  name: string;
  /** The run of the curve, if there are several in the chart. */
  run?: string;
  start: number;
  batches: ArrayLike<number>;
  values: ArrayLike<number>;
}

/** Return what tells a curve from the others of a chart. */
export function keyOf({ run, group, name }: Pick<ChartPatch, 'run' | 'group' | 'name'>): string {
  return `${run ?? ''}:${group}:${name}`;
}

/** One curve in two growing columns; values may be NaN or infinite. */
export class Curve {
  length = 0;
  /** Grows with every change of the points. */
  version = 0;
  /** How it differs from a curve of its group; its label is what the legend calls it, '' if it has no place there. */
  look: Partial<uPlot.Series> = {};
  #xs = new Float64Array(256);
  #ys = new Float64Array(256);

  constructor(
    readonly group: Group,
    readonly name: string,
    readonly run = ''
  ) {}

  /** (length,) batches trained when each value was taken, ascending. A view: valid until the next patch. */
  get batches(): Float64Array {
    return this.#xs.subarray(0, this.length);
  }

  /** (length,) values. A view: valid until the next patch. */
  get values(): Float64Array {
    return this.#ys.subarray(0, this.length);
  }

  apply(patch: ChartPatch): void {
    const start = Math.min(patch.start, this.length);
    const end = start + patch.batches.length;
    if (end > this.#xs.length) {
      const capacity = Math.max(end, 2 * this.#xs.length);
      this.#xs = resized(this.#xs, capacity);
      this.#ys = resized(this.#ys, capacity);
    }
    this.#xs.set(patch.batches, start);
    this.#ys.set(patch.values, start);
    this.length = end;
    this.version += 1;
  }

  /** Return the index of the point nearest to `batch`, -1 when there is none. */
  nearest(batch: number): number {
    let [low, high] = [0, this.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#xs[middle]! < batch) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low > 0 && batch - this.#xs[low - 1]! < this.#xs[low]! - batch) {
      return low - 1;
    }
    return this.length > 0 ? low : -1;
  }
}

function resized(column: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const copy = new Float64Array(capacity);
  copy.set(column);
  return copy;
}

/** Curves of one panel on a common x axis, as uPlot wants them. */
export interface Table {
  xs: number[];
  /** Per curve: a number, `null` where the value cannot be drawn (a gap), `undefined` where only another curve has a point. */
  columns: (number | null | undefined)[][];
  /** Per curve: indices of points that no line reaches, because both neighbors are gaps. */
  lone: number[][];
}

/** Join `curves` on their batches; with `positiveOnly` (a logarithmic axis) zero and below are gaps too. */
export function join(curves: readonly Curve[], positiveOnly: boolean): Table {
  const sources = curves.map(curve => ({ batches: curve.batches, values: curve.values, next: 0 }));
  const table: Table = { xs: [], columns: curves.map(() => []), lone: [] };
  for (;;) {
    let x = Infinity;
    for (const { batches, next } of sources) {
      if (next < batches.length && batches[next]! < x) {
        x = batches[next]!;
      }
    }
    if (x === Infinity) {
      break;
    }
    table.xs.push(x);
    sources.forEach((source, index) => {
      const here = source.next < source.batches.length && source.batches[source.next] === x;
      table.columns[index]!.push(here ? drawable(source.values[source.next]!, positiveOnly) : undefined);
      source.next += here ? 1 : 0;
    });
  }
  table.lone = table.columns.map(lonePoints);
  return table;
}

function drawable(value: number, positiveOnly: boolean): number | null {
  return Number.isFinite(value) && !(positiveOnly && value <= 0) ? value : null;
}

function lonePoints(column: readonly (number | null | undefined)[]): number[] {
  const lone: number[] = [];
  let [previous, last]: [number | null, number] = [null, -1];
  let lastIsLone = false;
  column.forEach((value, index) => {
    if (value === undefined) {
      return;
    }
    if (value === null && lastIsLone) {
      lone.push(last);
    }
    lastIsLone = value !== null && previous === null;
    [previous, last] = [value, index];
  });
  return lastIsLone ? [...lone, last] : lone;
}
