import { Curve } from '../curve';
import { smooth } from './smoothing';

/** What is done to the curves of a panel before they are drawn. */
export interface Treatment {
  /** Weight of the past; 0: no smoothing. */
  smoothing: number;
  /** Return the place of a batch on the x axis; null: the batch itself. */
  x: ((batch: number) => number) | null;
}

/** A curve of fewer points is not smoothed: its average would only be late. */
const FEWEST_POINTS = 30;

const SMOOTH = 'smooth';
const FAINT = { alpha: 0.3, width: 1 };

interface Pair {
  raw: Curve;
  smoothed: Curve;
}

/** Return whether a line has the values themselves, not their average. */
export function isRaw({ look }: Curve): boolean {
  return look.label !== SMOOTH;
}

/** The curves that are drawn for those of a run, one set of objects for each treatment. */
export class Lines {
  private readonly pairs = new Map<string, Pair>();

  constructor(private readonly treatment: Treatment) {}

  /** Return the lines of `curves`: themselves, on another axis, or faint and with their smoothed lines. */
  of(curves: readonly Curve[]): readonly Curve[] {
    const { smoothing, x } = this.treatment;
    return smoothing === 0 && x === null ? curves : curves.flatMap(curve => this.treated(curve));
  }

  private treated(curve: Curve): Curve[] {
    const { smoothing, x } = this.treatment;
    const { group, name, batches, values } = curve;
    const key = `${group}:${name}`;
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = { raw: new Curve(group, name), smoothed: new Curve(group, name) };
      this.pairs.set(key, pair);
      if (smoothing > 0) {
        pair.smoothed.look = { width: 2, points: { show: false }, label: SMOOTH };
      }
    }
    const xs = x === null ? batches : batches.map(x);
    refill(pair.raw, xs, values);
    if (smoothing === 0 || values.length < FEWEST_POINTS) {
      return [pair.raw];
    }
    pair.raw.look = FAINT;
    const smoothed = smooth(values, smoothing);
    const isFinite = (_: number, index: number): boolean => Number.isFinite(values[index]);
    refill(pair.smoothed, xs.filter(isFinite), smoothed.filter(isFinite));
    return [pair.raw, pair.smoothed];
  }
}

function refill(curve: Curve, batches: Float64Array, values: Float64Array): void {
  curve.apply({ group: curve.group, name: curve.name, start: 0, batches, values });
}
