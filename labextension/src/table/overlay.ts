/** One metric of several runs in one chart. */
import uPlot from 'uplot';

import { formatCount, formatTick, formatValue, toNumber } from '../../live/format';
import type { ComparedCurves } from '../../protocol';

/** Colors that differ in lightness, too; after ten runs the next ten have the same colors with dashes. */
const LIGHT = [
  '#0072b2',
  '#d55e00',
  '#007a5a',
  '#a8006d',
  '#8a6d00',
  '#5b3fb5',
  '#c2185b',
  '#00838f',
  '#6d4c41',
  '#555555'
];
const DARK = [
  '#56b4e9',
  '#f0a63a',
  '#3ddc97',
  '#ff8ad0',
  '#f0e442',
  '#b39dff',
  '#ff80ab',
  '#4dd0e1',
  '#d7a98c',
  '#c0c0c0'
];
const DASHES: readonly number[][] = [[], [6, 3], [2, 2]];

export interface Stroke {
  color: string;
  dash: readonly number[];
}

/** Return how the curves of the run at `index` are drawn. */
export function strokeOf(index: number, isDark: boolean): Stroke {
  const colors = isDark ? DARK : LIGHT;
  return {
    color: colors[index % colors.length] ?? '#808080',
    dash: DASHES[Math.floor(index / colors.length) % DASHES.length] ?? []
  };
}

export interface OverlayOptions {
  names: readonly string[];
  isDark: boolean;
  text: string;
  grid: string;
  font: string;
  heightPx: number;
  /** Called with the words about the point under the cursor; '' for none. */
  onPoint: (text: string) => void;
}

/** Draw a metric into `host`; call the function that is returned to remove it. */
export function drawOverlay(host: HTMLElement, metric: ComparedCurves, options: OverlayOptions): () => void {
  const tables = metric.curves.map<uPlot.AlignedData>(curve =>
    curve === null
      ? [[], []]
      : [curve.batches.map(toNumber), curve.values.map(value => finite(toNumber(value)))]
  );
  const data = uPlot.join(
    tables,
    tables.map(() => [0, 2])
  );
  const axis: uPlot.Axis = {
    stroke: options.text,
    font: options.font,
    grid: { stroke: options.grid, width: 1 },
    ticks: { stroke: options.grid, width: 1 }
  };
  const chart = new uPlot(
    {
      width: Math.max(120, host.clientWidth),
      height: options.heightPx,
      legend: { show: false },
      cursor: { sync: { key: 'dj-comparison' }, focus: { prox: 24 }, points: { size: 6 } },
      focus: { alpha: 0.25 },
      scales: { x: { time: false } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(formatTick) },
        { ...axis, size: 58, values: (_, ticks) => ticks.map(formatTick) }
      ],
      series: [
        {},
        ...options.names.map((label, index) => {
          const { color, dash } = strokeOf(index, options.isDark);
          return {
            label,
            stroke: color,
            width: 1.5,
            dash: [...dash],
            points: { show: isShort(metric, index) },
            spanGaps: true
          };
        })
      ],
      hooks: {
        setSeries: [(chart, index) => options.onPoint(words(chart, index))],
        setCursor: [chart => chart.cursor.idx === null && options.onPoint('')]
      }
    },
    data,
    host
  );
  const sizes = new ResizeObserver(() =>
    chart.setSize({ width: Math.max(120, host.clientWidth), height: options.heightPx })
  );
  sizes.observe(host);
  return () => {
    sizes.disconnect();
    chart.destroy();
  };
}

function words(chart: uPlot, index: number | null): string {
  const place = chart.cursor.idx;
  if (index === null || index === 0 || place === null || place === undefined) {
    return '';
  }
  const [batch, value] = [chart.data[0][place], chart.data[index]?.[place]];
  const label = chart.series[index]?.label;
  return batch === undefined || typeof label !== 'string'
    ? ''
    : `${label} · batch ${formatCount(batch)}${typeof value === 'number' ? ` · ${formatValue(value)}` : ''}`;
}

/** A curve of very few points would be invisible as a line. */
function isShort({ curves }: ComparedCurves, index: number): boolean {
  return (curves[index]?.batches.length ?? 0) <= 20;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
