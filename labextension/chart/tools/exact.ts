import { type ChartPatch, Curve, keyOf } from '../curve';
import type { Range } from '../panel';

export interface BatchRange {
  /** '' for the run that the charts were made for. */
  run: string;
  from: number;
  to: number;
  /** How many points a curve can have; as many as a chart can show by default. */
  points?: number;
  signal?: AbortSignal;
}

/** Fetches the points of all curves of a run in a range of batches, exact if they are not too many. */
export type FetchRange = (range: BatchRange) => Promise<readonly ChartPatch[]>;

/** The most that the server answers. */
const MOST_POINTS = 20_000;
const LAST_BATCH = 999_999_999;
const FETCH_AFTER_MS = 120;
/** So much of a range is fetched on either side of it: smoothing begins before it, and moving shows points at once. */
const BEYOND = 0.5;

interface Part {
  from: number;
  to: number;
  curves: ReadonlyMap<string, Curve>;
}

/** The exact points of the part of the x axis that is shown. */
export class ExactCurves {
  private readonly parts = new Map<string, Part>();
  private fetching = new AbortController();

  /** @param changed - Called when points have come. */
  constructor(
    private readonly fetchRange: FetchRange | undefined,
    private readonly changed: () => void
  ) {}

  /** Return the exact curve for one that is reduced, or that itself. */
  of(curve: Curve): Curve {
    return this.parts.get(curve.run)?.curves.get(keyOf(curve)) ?? curve;
  }

  clear(): void {
    this.fetching.abort();
    this.parts.clear();
  }

  /** Fetch the points of these ranges of batches, by run; what does not reach as far is forgotten at once. */
  show(ranges: ReadonlyMap<string, Range>): void {
    this.fetching.abort();
    const fetching = (this.fetching = new AbortController());
    for (const [run, [first, last]] of this.fetchRange === undefined ? [] : ranges) {
      const around = BEYOND * (last - first);
      const [from, to] = [Math.max(0, Math.floor(first)), Math.max(1, Math.ceil(last))];
      const part = this.parts.get(run);
      if (part !== undefined && (from < part.from || to > part.to)) {
        this.parts.delete(run);
      }
      const wanted = { run, from: Math.max(0, Math.floor(from - around)), to: Math.ceil(to + around) };
      window.setTimeout(() => void this.fetch({ ...wanted, signal: fetching.signal }), FETCH_AFTER_MS);
    }
  }

  /** Return all points that the server has of these curves; those that are here where it does not answer. */
  async complete(curves: readonly Curve[]): Promise<Curve[]> {
    const runs = [...new Set(curves.map(({ run }) => run))];
    const whole = { from: 0, to: LAST_BATCH, points: MOST_POINTS };
    const found = new Map(
      await Promise.all(runs.map(async run => [run, await this.ask({ run, ...whole })] as const))
    );
    return curves.map(curve => found.get(curve.run)?.get(keyOf(curve)) ?? curve);
  }

  private async fetch(range: BatchRange & { signal: AbortSignal }): Promise<void> {
    const curves = range.signal.aborted ? null : await this.ask(range);
    if (!range.signal.aborted && curves !== null) {
      this.parts.set(range.run, { from: range.from, to: range.to, curves });
      this.changed();
    }
  }

  /** Return the curves of a range by their keys; null if they cannot be had. */
  private async ask(range: BatchRange): Promise<ReadonlyMap<string, Curve> | null> {
    const patches = await this.fetchRange?.(range).catch(() => null);
    if (!patches) {
      return null;
    }
    const curves = new Map<string, Curve>();
    for (const patch of patches) {
      const curve = new Curve(patch.group, patch.name, range.run);
      curve.apply(patch);
      curves.set(keyOf(curve), curve);
    }
    return curves;
  }
}
