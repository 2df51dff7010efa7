import type { ChartPatch } from '../chart';
import type { PatchHeader } from '../protocol';

/**
 * Return the patches that `headers` announce: two buffers each, batches then values, little-endian float64.
 *
 * A buffer may begin anywhere in the frame that it came in, so each is copied to where a Float64Array can look at it.
 */
export function decodePatches(headers: readonly PatchHeader[], buffers: readonly DataView[]): ChartPatch[] {
  return headers.map(({ group, name, start, count }, index) => ({
    group,
    name,
    start,
    batches: column(buffers[2 * index], count),
    values: column(buffers[2 * index + 1], count)
  }));
}

function column(buffer: DataView | undefined, count: number): Float64Array {
  if (buffer === undefined || buffer.byteLength !== 8 * count) {
    throw new Error(`expected ${count} values, got ${buffer?.byteLength ?? 0} bytes`);
  }
  const { byteOffset, byteLength } = buffer;
  return new Float64Array(buffer.buffer.slice(byteOffset, byteOffset + byteLength));
}
