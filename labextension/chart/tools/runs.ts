import type uPlot from 'uplot';

import { RUN_COLORS } from '../../protocol';
import type { Curve } from '../curve';
import type { Facts } from './axis';

/** A run whose curves are in the charts; its id is '' if the charts were made for it. */
export interface ChartRun {
  id: string;
  name: string;
  facts: Facts;
}

/** Dashes of the first runs, and of those whose colors are used a second time. */
const DASHES = {
  training: [[], [8, 4]],
  validation: [
    [6, 3],
    [10, 3, 2, 3]
  ]
};

/** How the curves of a run are drawn, next to those of others: its color, and dashes by which also groups differ. */
export interface RunLook {
  stroke: string;
  dash: number[];
}

/** Return the look of the run at `place`; twenty of them differ. */
export function runLook(place: number, group: Curve['group'], isDark: boolean): RunLook {
  const colors = RUN_COLORS[isDark ? 'dark' : 'light'];
  return {
    stroke: colors[place % colors.length]!,
    dash: DASHES[group][Math.floor(place / colors.length) % 2]!
  };
}

/** The runs of the charts. Each keeps its look while others come and go. */
export class ChartRuns {
  private readonly runs = new Map<string, ChartRun & { place: number }>();

  get all(): readonly (ChartRun & { place: number })[] {
    return [...this.runs.values()];
  }

  get areSeveral(): boolean {
    return this.runs.size > 1;
  }

  /** Add a run, or take in what is new about it. */
  set(run: ChartRun): void {
    const taken = new Set(this.all.map(({ place }) => place));
    let place = 0;
    while (taken.has(place)) {
      place += 1;
    }
    this.runs.set(run.id, { ...run, place: this.runs.get(run.id)?.place ?? place });
  }

  has(id: string): boolean {
    return this.runs.has(id);
  }

  delete(id: string): void {
    this.runs.delete(id);
  }

  /** Return what a curve is called: by its group, and of several runs by its run. */
  nameOf({ group, run }: Curve): string {
    return this.areSeveral ? `${this.runs.get(run)?.name ?? run} ${group}` : group;
  }

  /** Return what is different about the look of a curve because there are several runs. */
  lookOf(curve: Curve, isDark: boolean): Partial<uPlot.Series> {
    const place = this.runs.get(curve.run)?.place ?? 0;
    return this.areSeveral ? { ...runLook(place, curve.group, isDark), label: this.nameOf(curve) } : {};
  }
}
