/** The known moments of a run: how many batches were trained when. */
export interface Clock {
  /** (N,) ascending. */
  batches: readonly number[];
  /** (N,) seconds since the epoch, ascending. */
  at: readonly number[];
}

/** Return the value of `ys` at `x`, interpolated between the `xs`, both (N,) with N > 0 and ascending; continued beyond the ends. */
export function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle]! <= x) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const [from, span] = [xs[low]!, xs[high]! - xs[low]!];
  return span > 0 ? ys[low]! + ((x - from) / span) * (ys[high]! - ys[low]!) : ys[high]!;
}
