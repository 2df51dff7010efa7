/** The events of runs, by batch. */
import type { ComparedEvents, MarkRecord } from '../../protocol';

export interface EventRow {
  batch: number;
  /** What happened in each run. */
  cells: readonly (readonly MarkRecord[])[];
}

/** Return a row for each batch after which something of a kind that is not hidden happened, in the order of batches. */
export function rowsOf(events: readonly ComparedEvents[], hidden: readonly string[]): EventRow[] {
  const rows = new Map<number, MarkRecord[][]>();
  events.forEach(({ marks }, run) => {
    for (const mark of marks) {
      if (!hidden.includes(mark.kind)) {
        const cells = rows.get(mark.batches_trained) ?? events.map(() => []);
        cells[run]!.push(mark);
        rows.set(mark.batches_trained, cells);
      }
    }
  });
  return [...rows].sort(([a], [b]) => a - b).map(([batch, cells]) => ({ batch, cells }));
}
