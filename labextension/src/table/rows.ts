/** The rows of a long table, fetched in blocks when they come into view. */
import type { RunGroup, RunPage, RunRow } from '../../protocol';

export type Item = RunRow | RunGroup;

export const BLOCK_ROWS = 100;

/** Fetch rows from `offset` on; null if they have not changed since the answer with that ETag. */
export type Fetch = (
  offset: number,
  limit: number,
  etag: string | null
) => Promise<{ page: RunPage; etag: string | null } | null>;

interface Block {
  items: readonly Item[];
  etag: string | null;
  /** The generation of the table in which it was last confirmed. */
  generation: number;
}

/** The blocks of one selection of runs. Blocks of an older generation are shown until new ones come, so that nothing flickers. */
export class Rows {
  constructor(
    private readonly fetch: Fetch,
    private readonly changed: (page: RunPage | null) => void,
    private readonly failed: (error: Error) => void
  ) {}

  /** Return a row, null if it has not come yet. */
  at(index: number): Item | null {
    return this._blocks.get(Math.floor(index / BLOCK_ROWS))?.items[index % BLOCK_ROWS] ?? null;
  }

  /** Return the runs whose rows have come. */
  runs(): RunRow[] {
    return [...this._blocks.values()].flatMap(({ items }) => items).filter(isRun);
  }

  /** Have the rows from `first` up to `end` fetched, unless they are there. */
  want(first: number, end: number): void {
    this._wanted = [Math.floor(first / BLOCK_ROWS), Math.floor(Math.max(first, end - 1) / BLOCK_ROWS)];
    for (let number = this._wanted[0]; number <= this._wanted[1]; number++) {
      if (this._blocks.get(number)?.generation !== this._generation && !this._fetching.has(number)) {
        void this.load(number);
      }
    }
  }

  /** Ask again for what is in view; other blocks are asked for when they come into view. */
  refresh(): void {
    this._generation++;
    this._fetching.clear();
    this.want(this._wanted[0] * BLOCK_ROWS, (this._wanted[1] + 1) * BLOCK_ROWS);
  }

  /** Whether answers still matter. */
  isCurrent = true;

  private async load(number: number): Promise<void> {
    const generation = this._generation;
    this._fetching.add(number);
    try {
      const known = this._blocks.get(number);
      const answer = await this.fetch(number * BLOCK_ROWS, BLOCK_ROWS, known?.etag ?? null);
      if (!this.isCurrent || generation !== this._generation) {
        return;
      }
      if (answer !== null) {
        this._blocks.set(number, { items: answer.page.items, etag: answer.etag, generation });
      } else if (known !== undefined) {
        this._blocks.set(number, { ...known, generation });
      }
      this.changed(answer?.page ?? null);
    } catch (error) {
      if (this.isCurrent && generation === this._generation) {
        this.failed(error as Error);
      }
    } finally {
      if (generation === this._generation) {
        this._fetching.delete(number);
      }
    }
  }

  private readonly _blocks = new Map<number, Block>();
  private readonly _fetching = new Set<number>();
  private _generation = 0;
  private _wanted: [number, number] = [0, 0];
}

function isRun(item: Item): item is RunRow {
  return item.kind === 'run';
}
