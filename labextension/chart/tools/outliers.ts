/** What lies beyond these shares of the values, and far from them, is an outlier. */
const [LOW, HIGH] = [0.02, 0.98];
/** How many times the spread of the others an outlier is away from them. */
const FAR = 0.5;

/**
 * Return the part of `[min, max]` in which nearly all `values` are.
 *
 * A range that a few values hardly widen stays as it is: a mark that says that something is cut would be noise there.
 */
export function withoutOutliers(
  values: readonly number[],
  [min, max]: [number, number]
): readonly [number, number] {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length < 20) {
    return [min, max];
  }
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))]!;
  const [low, high] = [at(LOW), at(HIGH)];
  const room = FAR * (high - low);
  const near = sorted.filter(value => value >= low - room && value <= high + room);
  return [min < low - room ? near[0]! : min, max > high + room ? near[near.length - 1]! : max];
}
