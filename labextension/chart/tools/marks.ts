import type uPlot from 'uplot';

import type { Theme } from '../theme';

/** What happened in a run after `batches` batches; `text` says what, in a line or more. */
export interface Mark {
  kind: string;
  batches: number;
  text: string;
}

/** A sign above the chart for each kind, so that color is not needed. */
const SIGNS: Readonly<Record<string, string>> = {
  validation: '✓',
  checkpoint: '▪',
  best: '★',
  restore: '↶',
  reload: '⟳',
  hyperparameters: 'λ',
  pause: 'Ⅱ',
  error: '✕'
};
/** These happen all the time: they are signs without a line. */
const QUIET = new Set(['validation', 'checkpoint', 'pause']);
const APART_PX = 9;
const REACH_PX = 5;

/** Draw a sign and a line for every mark; of signs without room only the first is drawn, and those that matter come first. */
export function drawMarks(
  chart: uPlot,
  marks: readonly Mark[],
  x: (batch: number) => number,
  theme: Theme
): void {
  const { ctx, bbox } = chart;
  const ratio = devicePixelRatio;
  const taken: number[] = [];
  ctx.save();
  ctx.fillStyle = ctx.strokeStyle = theme.text;
  ctx.font = `${10 * ratio}px ${theme.font.replace(/^\S+ /, '')}`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'bottom';
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  const loud = marks.filter(({ kind }) => !QUIET.has(kind));
  for (const { kind, batches } of [...loud, ...marks.filter(({ kind }) => QUIET.has(kind))]) {
    const at = chart.valToPos(x(batches), 'x', true);
    const isInside = at >= bbox.left - 1 && at <= bbox.left + bbox.width + 1;
    if (isInside && taken.every(other => Math.abs(other - at) >= APART_PX * ratio)) {
      taken.push(at);
      ctx.fillText(SIGNS[kind] ?? '•', at, bbox.top + 1);
      if (!QUIET.has(kind)) {
        ctx.beginPath();
        ctx.moveTo(at, bbox.top);
        ctx.lineTo(at, bbox.top + bbox.height);
        ctx.stroke();
      }
    }
  }
  ctx.restore();
}

/** Return the marks at `left` pixels from the left of the plot. */
export function marksAt(
  chart: uPlot,
  marks: readonly Mark[],
  x: (batch: number) => number,
  left: number
): Mark[] {
  return marks.filter(({ batches }) => Math.abs(chart.valToPos(x(batches), 'x') - left) <= REACH_PX);
}

/** Return a line for a mark: "★ best: …". */
export function lineOf({ kind, text }: Mark): string {
  return `${SIGNS[kind] ?? '•'} ${text}`;
}
