/** What the charts of runs ask the server for. */
import type { ChartGrid } from '../../chart';
import { ChartTools, type Facts, type FetchRange, type OtherRuns } from '../../chart/tools';
import { formatCount, formatValue, toNumber } from '../../live/format';
import { STATE_WORDS } from '../../live/words';
import type { ComparisonRecord, RunRecord, StoryRecord } from '../../protocol';
import type { Api } from '../api';
import { columnsOf } from './curves';

/** Points of a curve in a range: two for each pixel of a wide chart, of a range twice as wide as what is shown. */
const POINTS = 4000;
/** A run that trains has new marks all the time; they are asked for so often. */
const ASK_EVERY_MS = 3000;
/** The newest runs, which can be laid over another one. */
const MOST_OTHERS = 500;

const UNKNOWN: Facts = { batchesPerEpoch: null, clock: null };

/** A run as its charts see it, at one moment. */
export class RunSource {
  constructor(
    readonly api: Api,
    readonly record: RunRecord
  ) {}

  /** Say to the charts what happened in the run, once the server has answered; the function returned cancels a question not yet asked. */
  follow(tools: ChartTools): () => void {
    const wait = Math.max(0, (askedAt.get(tools) ?? -Infinity) + ASK_EVERY_MS - performance.now());
    const timer = window.setTimeout(() => {
      askedAt.set(tools, performance.now());
      this.api.story(this.record.id).then(
        story => {
          tools.setRun({ id: '', name: nameOf(this.record), facts: factsOf(story) });
          tools.setMarks(
            story.marks.map(({ kind, batches_trained, text }) => ({ kind, batches: batches_trained, text }))
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
  if (run === null) {
    return new ChartTools(grid, { runs: [{ id: '', name: '', facts: UNKNOWN }] });
  }
  const { api, record } = run;
  return new ChartTools(grid, {
    runs: [{ id: '', name: nameOf(record), facts: UNKNOWN }],
    definition: record.definition,
    fetchRange: fetchRange(api, record.id),
    others: othersOf(api, record)
  });
}

/** Make the tools of charts in which runs are compared, and have them learn what is known of each. */
export function comparisonTools(
  grid: ChartGrid,
  api: Pick<Api, 'story' | 'seriesBetween'>,
  { runs }: ComparisonRecord
): ChartTools {
  const definitions = new Set(runs.map(({ definition }) => definition));
  const tools = new ChartTools(grid, {
    runs: runs.map(run => ({ id: run.id, name: nameOf(run), facts: UNKNOWN })),
    definition: definitions.size === 1 ? runs[0]!.definition : null,
    fetchRange: fetchRange(api, '')
  });
  for (const run of runs) {
    api.story(run.id).then(
      story => tools.setRun({ id: run.id, name: nameOf(run), facts: factsOf(story) }),
      () => undefined // its x axis counts batches
    );
  }
  return tools;
}

function fetchRange(api: Pick<Api, 'seriesBetween'>, ownId: string): FetchRange {
  return async ({ run, from, to, points = POINTS, signal }) =>
    (await api.seriesBetween(run || ownId, from, to, points, signal)).map(columnsOf);
}

/** Return the runs that can be laid over `record`: those of its definition first. */
function othersOf(api: Api, { id, definition }: RunRecord): OtherRuns {
  return {
    list: async () => {
      const runs = (await api.runs(MOST_OTHERS)).filter(run => run.id !== id && run.batches_trained > 0);
      const own = runs.filter(run => run.definition === definition);
      const others = runs.filter(run => run.definition !== definition);
      return [...own, ...others].map(run => ({ id: run.id, name: nameOf(run), detail: detailOf(run) }));
    },
    open: async other => {
      const [patches, story] = await Promise.all([api.series(other), api.story(other)]);
      return { patches: patches.map(columnsOf), facts: factsOf(story) };
    }
  };
}

function detailOf({ definition, state, batches_trained, best }: RunRecord): string {
  const batches = `${formatCount(batches_trained)} ${batches_trained === 1 ? 'batch' : 'batches'}`;
  const value = best === null ? [] : [`best ${best.name} ${formatValue(toNumber(best.value))}`];
  return [definition, STATE_WORDS[state], batches, ...value].join(' · ');
}

function factsOf({ batches, times, batches_per_epoch }: StoryRecord): Facts {
  const clock = { batches: batches.map(toNumber), at: times.map(toNumber) };
  return { batchesPerEpoch: batches_per_epoch, clock };
}

function nameOf({ name, id }: { name: string; id: string }): string {
  return name || id;
}
