import type uPlot from 'uplot';

import { formatCount } from '../../live/format';
import type { Curve } from '../curve';
import type { Theme } from '../theme';

/** What happened in a run after `batches` batches; `text` says what, in a line or more. */
export interface Mark {
  kind: string;
  batches: number;
  text: string;
  /** The run, if it is another one than that of the charts. */
  run?: string;
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
  error: '✕',
  lost: '▲' // as the triangles of the values themselves
};
/** These happen all the time: they are signs without a line. */
const QUIET = new Set(['validation', 'checkpoint', 'pause']);
const APART_PX = 9;
const REACH_PX = 5;

/** Return the place of a batch on the x axis. */
type Place = (batch: number, run: string) => number;

/** Draw a sign and a line for every mark; of signs without room only the first is drawn, and those that matter come first. */
export function drawMarks(chart: uPlot, marks: readonly Mark[], x: Place, theme: Theme): void {
  const { ctx, bbox } = chart;
  const ratio = devicePixelRatio;
  const taken: number[] = [];
  ctx.save();
  ctx.font = `${10 * ratio}px ${theme.font.replace(/^\S+ /, '')}`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'bottom';
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  const loud = marks.filter(({ kind }) => !QUIET.has(kind));
  for (const { kind, batches, run } of [...loud, ...marks.filter(({ kind }) => QUIET.has(kind))]) {
    const at = chart.valToPos(x(batches, run ?? ''), 'x', true);
    const isInside = at >= bbox.left - 1 && at <= bbox.left + bbox.width + 1;
    if (isInside && taken.every(other => Math.abs(other - at) >= APART_PX * ratio)) {
      taken.push(at);
      ctx.fillStyle = ctx.strokeStyle = kind === 'lost' ? theme.alarm : theme.text;
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
export function marksAt(chart: uPlot, marks: readonly Mark[], x: Place, left: number): Mark[] {
  return marks.filter(
    ({ batches, run }) => Math.abs(chart.valToPos(x(batches, run ?? ''), 'x') - left) <= REACH_PX
  );
}

/** Return a line for a mark: "★ best: …". */
export function lineOf({ kind, text }: Mark): string {
  return `${SIGNS[kind] ?? '•'} ${text}`;
}

/** Return a mark for each curve with values that are no numbers or infinite, at the first of them. */
export function lostValues(curves: readonly Curve[], nameOf: (curve: Curve) => string): Mark[] {
  return curves.flatMap(curve => {
    const lost = lostIn(curve);
    const text = `${curve.name} (${nameOf(curve)}): ${lost?.text}`;
    return lost === null ? [] : [{ kind: 'lost', batches: lost.batches, text, run: curve.run }];
  });
}

interface Lost {
  /** The batch of the first of them. */
  batches: number;
  text: string;
}

const known = new WeakMap<Curve, { version: number; lost: Lost | null }>();

/** Return what is known of the values that are no finite numbers; null: all are. Each drawing and each move of the pointer asks. */
function lostIn(curve: Curve): Lost | null {
  let found = known.get(curve);
  if (found?.version !== curve.version) {
    found = { version: curve.version, lost: findLost(curve) };
    known.set(curve, found);
  }
  return found.lost;
}

function findLost({ batches, values }: Curve): Lost | null {
  const first = values.findIndex(value => !Number.isFinite(value));
  if (first < 0) {
    return null;
  }
  const last = values.findLastIndex(value => !Number.isFinite(value));
  const lost = values.filter(value => !Number.isFinite(value));
  const [from, to] = [formatCount(batches[first]!), formatCount(batches[last]!)];
  const place =
    lost.length === values.length - first
      ? `since batch ${from}`
      : first === last
        ? `at batch ${from}`
        : `at batches ${from}–${to}`;
  const what = lost.every(Number.isNaN)
    ? 'not a number'
    : lost.some(Number.isNaN)
      ? 'not a finite number'
      : 'infinite';
  return { batches: batches[first]!, text: `${what} ${place}` };
}
