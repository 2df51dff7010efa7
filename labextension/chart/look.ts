import type uPlot from 'uplot';

import type { Curve } from './curve';
import type { Theme } from './theme';

/** How a curve is drawn: everywhere the same, so that a legend shows what is in the chart. */
export interface Look extends Partial<uPlot.Series> {
  stroke: string;
  dash: number[];
  width: number;
}

const DASH = [6, 3];

/** Return the look of a curve. Validation curves are dashed, so that they differ from those of the training without colors, too. */
export function lookOf({ group, look }: Curve, theme: Theme): Look {
  const isTraining = group === 'training';
  return {
    stroke: theme[group],
    dash: isTraining ? [] : DASH,
    width: isTraining ? 1.25 : 1.75,
    ...(look as Partial<Look>)
  };
}
