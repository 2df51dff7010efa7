import type uPlot from 'uplot';

import type { Curve } from './curve';
import { formatCount, formatValue } from '../live/format';

/** A value that has no place on the axis: NaN or an infinity. */
export interface Marker {
  curve: Curve;
  batch: number;
  value: number;
}

const SIZE_PX = 7;

export function markersOf(curves: readonly Curve[]): Marker[] {
  const markers: Marker[] = [];
  for (const curve of curves) {
    const { batches, values } = curve;
    for (let i = 0; i < values.length; i += 1) {
      if (!Number.isFinite(values[i]!)) {
        markers.push({ curve, batch: batches[i]!, value: values[i]! });
      }
    }
  }
  return markers;
}

/** Return the note under the panel's name: for each kind of value that could not be drawn, the first and the last batch. */
export function noteOf(markers: readonly Marker[], curves: readonly Curve[]): string {
  const places = new Map<string, { first: number; last: number }>();
  for (const { curve, batch, value } of markers) {
    const what = `${curves.length > 1 ? `${curve.group} ` : ''}${formatValue(value)}`;
    const known = places.get(what);
    if (known === undefined) {
      places.set(what, { first: batch, last: batch });
    } else {
      known.last = batch;
    }
  }
  return [...places]
    .map(([what, { first, last }]) =>
      first === last
        ? `${what} at batch ${formatCount(first)}`
        : `${what} at batches ${formatCount(first)}–${formatCount(last)}`
    )
    .join(' · ');
}

/** Draw a triangle at the edge for every marker: infinity at the top, the others at the bottom; overlapping ones are drawn once. */
export function drawMarkers(chart: uPlot, markers: readonly Marker[], color: string): void {
  const { ctx, bbox } = chart;
  const size = SIZE_PX * devicePixelRatio;
  const lastAt = { top: -Infinity, bottom: -Infinity };
  ctx.save();
  ctx.fillStyle = color;
  for (const { batch, value } of markers) {
    const x = chart.valToPos(batch, 'x', true);
    const edge = value === Infinity ? 'top' : 'bottom';
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1 || Math.abs(x - lastAt[edge]) < size * 1.5) {
      continue;
    }
    lastAt[edge] = x;
    const base = edge === 'top' ? bbox.top + size : bbox.top + bbox.height;
    const tip = base - size;
    ctx.beginPath();
    ctx.moveTo(x - size / 2, base);
    ctx.lineTo(x + size / 2, base);
    ctx.lineTo(x, tip);
    ctx.fill();
  }
  ctx.restore();
}
