import { describe, expect, it } from 'vitest';

import type { PatchHeader } from '../protocol';
import { decodePatches } from '../widgets/buffers';

const header: PatchHeader = { group: 'training', name: 'loss', start: 3, count: 2 };

/** Return the numbers as a view into a frame, `offset` bytes from its beginning. */
function view(numbers: readonly number[], offset = 0): DataView {
  const bytes = new Uint8Array(offset + 8 * numbers.length);
  bytes.set(new Uint8Array(new Float64Array(numbers).buffer), offset);
  return new DataView(bytes.buffer, offset);
}

describe('points in buffers', () => {
  it('are read wherever they begin in their frame', () => {
    const [patch] = decodePatches([header], [view([4, 5], 3), view([0.5, NaN], 5)]);
    expect([patch?.name, patch?.start]).toEqual(['loss', 3]);
    expect([Array.from(patch!.batches), Array.from(patch!.values)]).toEqual([
      [4, 5],
      [0.5, NaN]
    ]);
  });

  it('come in pairs: batches, then values', () => {
    const second = { ...header, name: 'acc', count: 1 };
    const patches = decodePatches([header, second], [view([1, 2]), view([3, 4]), view([5]), view([6])]);
    expect(Array.from(patches[1]!.values)).toEqual([6]);
  });

  it('that are missing or cut short are an error, and no curve of rubbish', () => {
    expect(() => decodePatches([header], [view([1, 2])])).toThrow('expected 2 values, got 0 bytes');
    expect(() => decodePatches([header], [view([1, 2]), view([3])])).toThrow(
      'expected 2 values, got 8 bytes'
    );
  });
});
