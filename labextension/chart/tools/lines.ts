import type uPlot from 'uplot';

import { Curve, keyOf } from '../curve';
import { smooth } from './smoothing';

/** What is done to the curves of a panel before they are drawn. */
export interface Treatment {
  /** Weight of the past; 0: no smoothing. */
  smoothing: number;
  /** Return the place of a batch on the x axis; null: the batch itself. */
  x: ((batch: number, run: string) => number) | null;
  /** Return what is different about the look of a curve; null: nothing. */
  look: ((curve: Curve) => Partial<uPlot.Series>) | null;
}

/** A curve of fewer points is not smoothed: its average would only be late. */
const FEWEST_POINTS = 30;

const FAINT = { alpha: 0.3, width: 1 };
const SMOOTH = { width: 2, points: { show: false } };

/** The average of a curve. */
class Smoothed extends Curve {}

interface Pair {
  raw: Curve;
  smoothed: Smoothed;
}

/** Return whether a line has the values themselves, not their average. */
export function isRaw(curve: Curve): boolean {
  return !(curve instanceof Smoothed);
}

/** The curves that are drawn for those of runs: the same objects at each drawing. */
export class Lines {
  private readonly pairs = new Map<string, Pair>();

  constructor(public treatment: Treatment) {}

  /** Return the lines of `curves`: themselves, on another axis, or faint and with their smoothed lines. */
  of(curves: readonly Curve[]): readonly Curve[] {
    const { smoothing, x, look } = this.treatment;
    return smoothing === 0 && x === null && look === null
      ? curves
      : curves.flatMap(curve => this.treated(curve));
  }

  clear(): void {
    this.pairs.clear();
  }

  private treated(curve: Curve): Curve[] {
    const { smoothing, x, look } = this.treatment;
    const { group, name, run, batches, values } = curve;
    const key = keyOf(curve);
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = { raw: new Curve(group, name, run), smoothed: new Smoothed(group, name, run) };
      this.pairs.set(key, pair);
    }
    const own = look?.(curve) ?? {};
    const xs = x === null ? batches : batches.map(batch => x(batch, run));
    refill(pair.raw, xs, values);
    if (smoothing === 0 || values.length < FEWEST_POINTS) {
      pair.raw.look = own;
      return [pair.raw];
    }
    // Of several runs the average has the name: twice as many names would be too many.
    pair.raw.look = { ...own, ...FAINT, ...(look !== null && { label: '' }) };
    pair.smoothed.look = { ...SMOOTH, label: 'smooth', ...own };
    const smoothed = smooth(values, smoothing);
    const isFinite = (_: number, index: number): boolean => Number.isFinite(values[index]);
    refill(pair.smoothed, xs.filter(isFinite), smoothed.filter(isFinite));
    return [pair.raw, pair.smoothed];
  }
}

function refill(curve: Curve, batches: Float64Array, values: Float64Array): void {
  curve.apply({ group: curve.group, name: curve.name, start: 0, batches, values });
}
