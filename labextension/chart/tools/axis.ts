import type uPlot from 'uplot';

import { formatCount, formatSeconds, formatTick } from '../../live/format';
import type { AxisName } from './choices';
import { type Clock, interpolate } from './clock';

/** What is known of a run, which decides what its x axis can count. */
export interface Facts {
  batchesPerEpoch: number | null;
  clock: Clock | null;
}

/** One way to count along the x axis. */
export interface Axis {
  name: AxisName;
  /** What the choice is called. */
  title: string;
  /** The word before a place: "batch 1,200". */
  unit: string;
  of(batch: number, run: string): number;
  /** The batch of a place, not rounded. */
  batchOf(x: number, run: string): number;
  words(x: number): string;
  look: Partial<uPlot.Axis>;
}

const UNCHANGED: Partial<uPlot.Axis> = {};
const BATCH: Axis = {
  name: 'batch',
  title: 'Batches',
  unit: 'batch',
  of: batch => batch,
  batchOf: x => x,
  words: x => formatCount(x),
  look: UNCHANGED
};
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SECOND_STEPS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map(count => count * MINUTE),
  ...[1, 2, 3, 6, 12].map(count => count * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100].map(count => count * DAY)
];
const FRACTIONS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
const EPOCH_STEPS = [
  ...FRACTIONS,
  ...[1, 2, 5].flatMap(step => [0, 1, 2, 3, 4, 5].map(power => step * 10 ** power))
];

/** Return the ways to count that the facts of all runs allow. */
export function axesOf(runs: readonly { id: string; facts: Facts }[]): Axis[] {
  const axes = [BATCH];
  const batchesPerEpoch = ofEvery(runs, facts => facts.batchesPerEpoch || null);
  if (batchesPerEpoch !== null) {
    axes.push(epochs(batchesPerEpoch));
  }
  const clock = ofEvery(runs, facts => (hasTime(facts.clock) ? facts.clock : null));
  if (clock !== null) {
    axes.push(relative(clock), wall(clock));
  }
  return axes;
}

/** Return what gives a fact of a run, if every run has it; else null. */
function ofEvery<T>(
  runs: readonly { id: string; facts: Facts }[],
  pick: (facts: Facts) => T | null
): ((run: string) => T) | null {
  const found = new Map<string, T>();
  for (const { id, facts } of runs) {
    const fact = pick(facts);
    if (fact === null) {
      return null;
    }
    found.set(id, fact);
  }
  const [first] = found.values();
  return first === undefined ? null : run => found.get(run) ?? first;
}

function hasTime(clock: Clock | null): boolean {
  return clock !== null && clock.at.length > 1 && clock.at[clock.at.length - 1]! > clock.at[0]!;
}

function epochs(batchesPerEpoch: (run: string) => number): Axis {
  return {
    name: 'epoch',
    title: 'Epochs',
    unit: 'epoch',
    of: (batch, run) => batch / batchesPerEpoch(run),
    batchOf: (x, run) => x * batchesPerEpoch(run),
    words: x => formatTick(Number(x.toPrecision(4))),
    look: {
      label: 'epochs trained',
      incrs: [...EPOCH_STEPS].sort((a, b) => a - b),
      values: (_, splits) => splits.map(formatTick)
    }
  };
}

function relative(clock: (run: string) => Clock): Axis {
  return {
    name: 'relative',
    title: 'Time since start',
    unit: 'after',
    of: (batch, run) => timeOf(clock(run), batch) - clock(run).at[0]!,
    batchOf: (x, run) => batchAt(clock(run), x + clock(run).at[0]!),
    words: x => formatSeconds(Math.max(0, Math.round(x))),
    look: {
      label: 'time since the start',
      incrs: SECOND_STEPS,
      values: (_, splits) => splits.map(shortSeconds)
    }
  };
}

function wall(clock: (run: string) => Clock): Axis {
  return {
    name: 'wall',
    title: 'Time of day',
    unit: 'at',
    of: (batch, run) => timeOf(clock(run), batch),
    batchOf: (x, run) => batchAt(clock(run), x),
    words: x => new Date(1000 * x).toLocaleString(),
    look: {
      label: 'time',
      incrs: SECOND_STEPS,
      space: 60,
      values: (_, splits, __, ___, step) => splits.map(split => timeOfDay(split, step))
    }
  };
}

function timeOf({ batches, at }: Clock, batch: number): number {
  return interpolate(batches, at, batch);
}

function batchAt({ batches, at }: Clock, time: number): number {
  return interpolate(at, batches, time);
}

function shortSeconds(s: number): string {
  if (s === 0 || Math.abs(s) < MINUTE) {
    return `${Number(s.toFixed(1))} s`;
  }
  const [hours, minutes, seconds] = [
    Math.floor(s / HOUR),
    Math.floor(s / MINUTE) % 60,
    Math.round(s % MINUTE)
  ];
  const two = (n: number): string => String(n).padStart(2, '0');
  return hours > 0
    ? `${hours}:${two(minutes)}${seconds ? `:${two(seconds)}` : ' h'}`
    : `${minutes}:${two(seconds)}`;
}

function timeOfDay(s: number, step: number): string {
  const date = new Date(1000 * s);
  if (step >= DAY) {
    return date.toLocaleDateString([], { month: 'short', day: 'numeric' });
  }
  return date.toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    ...(step < MINUTE && { second: '2-digit' }),
    hourCycle: 'h23'
  });
}
