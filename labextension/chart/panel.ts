import uPlot from 'uplot';

import { type Curve, join, type Table } from './curve';
import { formatCount, formatTick } from '../live/format';
import { drawMarkers, markersOf, noteOf, type Marker } from './markers';
import { Legend } from './legend';
import type { Theme } from './theme';

export type Range = readonly [min: number, max: number];

/** What the panels of one grid have in common. */
export interface Surroundings {
  readonly height: number;
  readonly syncKey: string;
  readonly signal: AbortSignal;
  theme(): Theme;
  /** The batches to show: what was zoomed to, else all there are. */
  range(): Range;
  isZoomed(): boolean;
  zoom(range: Range | null): void;
  redraw(panel: Panel): void;
}

const INTEGER_STEPS = [1, 2, 5]
  .flatMap(step => Array.from({ length: 12 }, (_, power) => step * 10 ** power))
  .sort((a, b) => a - b);
const MARKER_REACH_PX = 5;

/** One metric: its training curve as a line, its validation curve as a line with points, and what could not be drawn. */
export class Panel {
  readonly element = document.createElement('div');
  readonly plot = document.createElement('div');
  /** Something changed since the last drawing. */
  stale = true;
  inView = false;
  private readonly curves: Curve[] = [];
  private readonly legend: Legend;
  private readonly note = document.createElement('div');
  private readonly logButton: HTMLButtonElement;
  private readonly zoomButton: HTMLButtonElement;
  private chart: uPlot | null = null;
  private table: Table = { xs: [], columns: [], lone: [] };
  private markers: Marker[] = [];
  private logarithmic = false;
  private width = 0;

  constructor(
    readonly name: string,
    private readonly around: Surroundings
  ) {
    this.element.className = 'dj-panel';
    this.element.dataset['djPanel'] = name;
    const title = document.createElement('span');
    title.className = 'dj-panel-name';
    title.textContent = title.title = name;
    this.zoomButton = this.button('reset zoom', 'Show all batches (or double-click the chart)', () =>
      around.zoom(null)
    );
    this.logButton = this.button('log', `Logarithmic scale for ${name}`, () => this.toggleLog());
    this.logButton.setAttribute('aria-pressed', 'false');
    const head = document.createElement('div');
    head.className = 'dj-panel-head';
    head.append(title, this.zoomButton, this.logButton);
    this.legend = new Legend();
    this.note.className = 'dj-panel-note';
    this.plot.className = 'dj-panel-plot';
    this.plot.style.height = `${around.height}px`;
    this.plot.setAttribute('role', 'img');
    this.element.append(head, this.legend.element, this.note, this.plot);
  }

  /** Add a curve; the training curve is drawn first, under the validation curve. */
  add(curve: Curve): void {
    this.curves.push(curve);
    this.curves.sort((a, b) => a.group.localeCompare(b.group));
    this.rebuild();
  }

  /** Discard the canvas; the next drawing makes a new one (another theme, another scale, another curve). */
  rebuild(): void {
    this.chart?.destroy();
    this.chart = null;
    this.stale = true;
  }

  /** Whether it has to be drawn: nothing is drawn that nobody can see. */
  get isDue(): boolean {
    return this.stale && this.inView && this.width > 0;
  }

  /** Take in the width that the plot has now, in CSS pixels: asking the element for it would lay out the page again for every panel. */
  resize(width: number): void {
    if (width !== this.width) {
      this.width = width;
      this.stale = true;
    }
  }

  /** Draw what is new. */
  draw(): void {
    const { width } = this;
    const { height } = this.around;
    this.stale = false;
    this.table = join(this.curves, this.logarithmic);
    this.markers = markersOf(this.curves);
    const data = [this.table.xs, ...this.table.columns] as uPlot.AlignedData;
    const [min, max] = this.around.range();
    this.chart ??= new uPlot(this.options(), data, this.plot);
    const chart = this.chart;
    if (chart.width !== width) {
      chart.setSize({ width, height });
    }
    chart.batch(() => {
      chart.setData(data, false);
      chart.setScale('x', { min, max });
    });
    this.note.textContent = noteOf(this.markers, this.curves);
    this.zoomButton.hidden = !this.around.isZoomed();
    this.describe();
  }

  destroy(): void {
    this.chart?.destroy();
    this.chart = null;
    this.element.remove();
  }

  private button(text: string, title: string, pressed: () => void): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'dj-panel-button';
    button.textContent = text;
    button.title = title;
    button.addEventListener('click', pressed, { signal: this.around.signal });
    return button;
  }

  private toggleLog(): void {
    this.logarithmic = !this.logarithmic;
    this.logButton.setAttribute('aria-pressed', String(this.logarithmic));
    this.rebuild();
    this.around.redraw(this);
  }

  /** Fill the legend with the values under the cursor, or with the newest ones. */
  private describe(): void {
    const left = this.chart?.cursor.left ?? -1;
    if (this.chart === null || left < 0) {
      this.legend.show(this.curves, null, this.around.theme());
      this.plot.setAttribute('aria-label', `${this.name}: ${this.legend.element.textContent}`);
      return;
    }
    const chart = this.chart;
    const near = this.markers.find(
      marker => Math.abs(chart.valToPos(marker.batch, 'x') - left) <= MARKER_REACH_PX
    );
    this.legend.show(this.curves, near?.batch ?? chart.posToVal(left, 'x'), this.around.theme());
  }

  private select(chart: uPlot): void {
    const { left, width } = chart.select;
    if (width > 0) {
      this.around.zoom([chart.posToVal(left, 'x'), chart.posToVal(left + width, 'x')]);
      chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    }
  }

  private options(): uPlot.Options {
    const { width } = this;
    const theme = this.around.theme();
    const axis: uPlot.Axis = {
      stroke: theme.text,
      font: theme.font,
      grid: { stroke: theme.grid, width: 1 },
      ticks: { stroke: theme.grid, width: 1, size: 4 },
      gap: 3
    };
    return {
      width,
      height: this.around.height,
      padding: [8, 24, 0, 0], // half of the last label of the x axis is right of the chart
      legend: { show: false },
      scales: {
        x: { time: false },
        y: this.logarithmic ? { distr: 3, log: 10, range: logRange } : { range: linearRange }
      },
      axes: [
        {
          ...axis,
          size: 22,
          incrs: INTEGER_STEPS,
          values: (_, splits) => splits.map(split => formatCount(split)),
          label: 'batches trained',
          labelFont: theme.font,
          labelSize: 14,
          labelGap: 0
        },
        {
          ...axis,
          size: labelWidth,
          space: 28,
          values: (_, splits, __, ___, step) => tickLabels(splits, this.logarithmic ? null : step)
        }
      ],
      series: [{}, ...this.curves.map((curve, index) => this.series(curve, index, theme))],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 4 },
        points: { size: 7 },
        sync: {
          key: this.around.syncKey,
          scales: ['x', null],
          filters: { pub: type => type.startsWith('mousemove') || type === 'mouseleave' }
        },
        bind: {
          dblclick: () => () => {
            this.around.zoom(null);
            return null;
          }
        }
      },
      hooks: {
        setCursor: [() => this.inView && this.describe()],
        setSelect: [chart => this.select(chart)],
        draw: [chart => drawMarkers(chart, this.markers, this.around.theme().alarm)]
      }
    };
  }

  private series(curve: Curve, index: number, theme: Theme): uPlot.Series {
    const stroke = theme[curve.group];
    if (curve.group === 'validation') {
      return { stroke, width: 1.75, points: { show: true, size: 6, width: 0, fill: stroke } };
    }
    const filter = (): number[] => this.table.lone[index] ?? [];
    return { stroke, width: 1.25, points: { show: true, size: 4, width: 0, fill: stroke, filter } };
  }
}

function linearRange(_: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) {
    return [0, 1];
  }
  const pad = max > min ? 0.06 * (max - min) : Math.abs(max) * 0.1 || 1;
  return [min >= 0 ? Math.max(0, min - pad) : min - pad, max + pad];
}

function logRange(_: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax {
  if (min === null || max === null || !(min > 0) || !Number.isFinite(max)) {
    return [0.1, 1];
  }
  // One leading digit each: uPlot counts its ticks up from the lower end.
  const [low, high] = [10 ** Math.floor(Math.log10(min)), 10 ** Math.floor(Math.log10(max))];
  const bottom = Math.max(1, Math.floor(min / low + 1e-9)) * low;
  const top = Math.ceil(max / high - 1e-9) * high;
  return [bottom, top > bottom ? top : 2 * bottom];
}

/** Return the labels of the y axis; `step` is the distance between two, null on a logarithmic axis. */
function tickLabels(ticks: readonly (number | null)[], step: number | null): (string | null)[] {
  const largest = Math.max(...ticks.map(tick => Math.abs(tick ?? 0)));
  if (step === null || largest >= 1e5 || largest < 1e-3) {
    return ticks.map(tick => (tick === null ? null : formatTick(tick)));
  }
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const needed = Number((step * 10 ** decimals).toFixed(6)) % 1 === 0 ? decimals : decimals + 1;
  return ticks.map(tick => (tick === null ? null : tick.toFixed(needed).replace('-', '−')));
}

function labelWidth(_: uPlot, values: readonly (string | null)[] | null): number {
  const longest = Math.max(3, ...(values ?? []).map(value => value?.length ?? 0));
  return Math.min(72, 6.5 * longest + 10);
}
