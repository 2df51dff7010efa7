/** What the charts of a run ask the server for. */
import type { ChartGrid } from '../../chart';
import { type BatchRange, ChartTools } from '../../chart/tools';
import { toNumber } from '../../live/format';
import type { RunRecord, SessionRecord } from '../../protocol';
import type { Api } from '../api';
import { columnsOf } from './curves';

/** Points of a curve in a range: two for each pixel of a wide chart, of a range twice as wide as what is shown. */
const POINTS = 4000;
/** A run that trains has new marks all the time; they are asked for so often. */
const ASK_EVERY_MS = 3000;

/** A run as its charts see it, at one moment. */
export class RunSource {
  constructor(
    readonly api: Api,
    readonly record: RunRecord,
    readonly session: SessionRecord | null
  ) {}

  /** Say to the charts what happened in the run, once the server has answered; the function returned cancels a question not yet asked. */
  follow(tools: ChartTools): () => void {
    const id = this.record.id;
    const wait = Math.max(0, (askedAt.get(tools) ?? -Infinity) + ASK_EVERY_MS - performance.now());
    const timer = window.setTimeout(() => {
      askedAt.set(tools, performance.now());
      this.api.story(id).then(
        ({ marks, batches, times }) => {
          const clock = { batches: batches.map(toNumber), at: times.map(toNumber) };
          tools.setFacts({ batchesPerEpoch: this.session?.batches_per_epoch ?? null, clock });
          tools.setMarks(
            marks.map(({ kind, batches_trained, text }) => ({ kind, batches: batches_trained, text }))
          );
        },
        // the curves are shown without marks
        () => undefined
      );
    }, wait);
    return () => window.clearTimeout(timer);
  }
}

const askedAt = new WeakMap<ChartTools, number>();

/** Make the tools of the charts of a run; null if it is not known. */
export function toolsOf(grid: ChartGrid, run: RunSource | null): ChartTools {
  return new ChartTools(grid, {
    definition: run?.record.definition ?? null,
    ...(run !== null && {
      fetchRange: async ({ from, to, points = POINTS, signal }: BatchRange) =>
        (await run.api.seriesBetween(run.record.id, from, to, points, signal)).map(columnsOf)
    })
  });
}
