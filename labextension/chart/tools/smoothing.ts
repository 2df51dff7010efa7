/**
 * Return the exponential moving average of `values`, corrected for its beginning, so that the first value is the curve's own.
 *
 * @param weight - What the past counts for, from 0 (the curve itself) to below 1.
 * @returns NaN where the value is not finite; such values do not count.
 */
export function smooth(values: ArrayLike<number>, weight: number): Float64Array {
  const smoothed = new Float64Array(values.length);
  let [average, missing] = [0, 1];
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i]!;
    if (!Number.isFinite(value)) {
      smoothed[i] = NaN;
      continue;
    }
    average = weight * average + (1 - weight) * value;
    missing *= weight;
    smoothed[i] = average / (1 - missing);
  }
  return smoothed;
}
