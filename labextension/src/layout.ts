/** How the sections of the panel share its height. */

/** A section: the height that its content needs, and how much of the height it deserves when there is too little for all. */
export interface Need {
  height: number;
  weight: number;
}

/**
 * Return the heights of the sections, which sum up to `total`.
 *
 * A section gets no more than it needs while another one lacks height. What nothing needs goes to the last section. Where there is too
 * little for all, the sections share it by their weights.
 */
export function shareHeight(needs: readonly Need[], total: number): number[] {
  const heights = needs.map(() => 0);
  let open = needs.map((need, index) => ({ ...need, index }));
  let left = Math.max(0, total);
  while (open.length > 0) {
    const weights = open.reduce((sum, { weight }) => sum + weight, 0);
    const modest = open.filter(({ height, weight }) => height <= (left * weight) / weights);
    if (modest.length === 0) {
      open.forEach(({ weight, index }) => (heights[index] = (left * weight) / weights));
      return heights;
    }
    for (const { height, index } of modest) {
      heights[index] = height;
      left -= height;
    }
    open = open.filter(one => !modest.includes(one));
  }
  if (heights.length > 0) {
    heights[heights.length - 1]! += left;
  }
  return heights;
}
