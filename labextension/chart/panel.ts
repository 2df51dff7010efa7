import uPlot from 'uplot';

import { type Curve, join, type Table } from './curve';
import { formatCount, formatTick } from '../live/format';
import { lookOf } from './look';
import { drawMarkers, markersOf, noteOf, type Marker } from './markers';
import { Legend } from './legend';
import type { Theme } from './theme';

export type Range = readonly [min: number, max: number];

/** What the panels of one grid have in common. */
export interface Surroundings {
  readonly height: number;
  readonly syncKey: string;
  readonly signal: AbortSignal;
  /** Where the cursor of all panels is in a plot, in CSS pixels; left of 0 if the pointer is over none. */
  cursor: { left: number; top: number };
  theme(): Theme;
  /** The batches to show: what was zoomed to, else all there are. */
  range(): Range;
  isZoomed(): boolean;
  zoom(range: Range | null): void;
  redraw(): void;
  readonly extras?: Extras;
}

/** What a page can add to the charts; those of a cell's live view have none of it, because every notebook would carry its code. */
export interface Extras {
  /** Put a new panel into the page, and add to its head. */
  add(panel: Panel): void;
  /** Every panel was removed. */
  clear(): void;
  /** Return the curves to draw for those of a panel: the same objects at each call, or other ones after `panel.rebuild()`. */
  lines(panel: Panel): readonly Curve[];
  /** Return the place of a batch of a run on the x axis, which grows with it. */
  x(batch: number, run: string): number;
  /** From how far away the pointer brings a curve to the front; below 0: it does not. */
  readonly focusPx: number;
  /** What the x axis counts: "batch". */
  readonly unit: string;
  /** Return the words for a place on the x axis: "1,200". */
  place(x: number): string;
  /** What is different about the x axis. */
  axis(): Partial<uPlot.Axis>;
  /** Return the part of the values to show, given all of those in view. */
  y(panel: Panel, range: uPlot.Range.MinMax): uPlot.Range.MinMax;
  /** The panel was drawn: draw what is above the curves. */
  drawn(panel: Panel, chart: uPlot): void;
  /** The panels show another part of the x axis; null: all of it. */
  zoomed(range: Range | null): void;
}

const INTEGER_STEPS = [1, 2, 5]
  .flatMap(step => Array.from({ length: 12 }, (_, power) => step * 10 ** power))
  .sort((a, b) => a - b);
const MARKER_REACH_PX = 5;
/** Points closer than this would hide the line between them. */
export const POINT_ROOM_PX = 8;

/** One metric: its training curve as a line, its validation curve as a dashed line with points, and what could not be drawn. */
export class Panel {
  readonly element = document.createElement('div');
  readonly plot = document.createElement('div');
  /** Something changed since the last drawing. */
  stale = true;
  inView = false;
  readonly curves: Curve[] = [];
  readonly head = document.createElement('div');
  height: number;
  chart: uPlot | null = null;
  /** What is drawn: the curves, unless there are extras. */
  lines: readonly Curve[] = [];
  readonly #legend = new Legend();
  readonly #note = document.createElement('div');
  readonly #logButton: HTMLButtonElement;
  readonly #zoomButton: HTMLButtonElement;
  #table: Table = { xs: [], columns: [], lone: [] };
  #markers: Marker[] = [];
  logarithmic = false;
  #width = 0;
  readonly #around: Surroundings;

  constructor(
    readonly name: string,
    around: Surroundings
  ) {
    this.#around = around;
    this.element.className = 'dj-panel';
    this.element.dataset['djPanel'] = name;
    const title = document.createElement('span');
    title.className = 'dj-panel-name';
    title.textContent = title.title = name;
    this.#zoomButton = this.button('reset zoom', 'Show all batches (or double-click the chart)', () =>
      around.zoom(null)
    );
    this.#zoomButton.hidden = true;
    this.#logButton = this.button('log', `Logarithmic scale for ${name}`, () => this.toggleLog());
    this.#logButton.setAttribute('aria-pressed', 'false');
    this.head.className = 'dj-panel-head';
    this.head.append(title, this.#legend.place, this.#zoomButton, this.#logButton);
    this.height = around.height;
    this.#note.className = 'dj-panel-note';
    this.plot.className = 'dj-panel-plot';
    this.plot.style.height = `${around.height}px`; // also before it is drawn, or everything below would move
    this.plot.setAttribute('role', 'img');
    this.element.append(this.head, this.#legend.element, this.#note, this.plot);
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

  /** Whether it has to be drawn: nothing is drawn that is out of view. */
  get isDue(): boolean {
    return this.stale && this.inView && this.#width > 0;
  }

  /** Take in the width that the plot has now, in CSS pixels: asking the element for it would lay out the page again for every panel. */
  resize(width: number): void {
    if (width !== this.#width) {
      this.#width = width;
      this.stale = true;
    }
  }

  /** Draw what is new. */
  draw(): void {
    const width = this.#width;
    const { height } = this;
    const { length } = this.lines;
    this.lines = this.#around.extras?.lines(this) ?? this.curves;
    if (this.lines.length !== length) {
      this.rebuild();
    }
    this.stale = false;
    this.#table = join(this.lines, this.logarithmic);
    this.#markers = markersOf(this.lines);
    const data = [this.#table.xs, ...this.#table.columns] as uPlot.AlignedData;
    const [min, max] = this.#around.range();
    const isNew = this.chart === null;
    const { cursor } = this.#around; // a new chart begins without one
    const chart = (this.chart ??= new uPlot(this.#options(), data, this.plot));
    if (chart.width !== width || chart.height !== height) {
      chart.setSize({ width, height });
    }
    chart.batch(() => {
      chart.setData(data, false);
      chart.setScale('x', { min, max });
    });
    if (isNew && this.element.parentElement!.matches(':hover')) {
      chart.setCursor(cursor); // a pointer that does not move says nothing to a new chart
    }
    this.#note.textContent = noteOf(markersOf(this.curves), this.curves);
    this.#zoomButton.hidden = !this.#around.isZoomed();
    this.#describe();
  }

  destroy(): void {
    this.chart?.destroy();
    this.chart = null;
    this.element.remove();
  }

  /** Return a button for the head. */
  button(text: string, title: string, pressed: () => void): HTMLButtonElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'dj-panel-button';
    button.textContent = text;
    button.title = title;
    button.addEventListener('click', pressed, { signal: this.#around.signal });
    return button;
  }

  /** Change between the linear and the logarithmic scale. */
  toggleLog(): void {
    this.logarithmic = !this.logarithmic;
    this.#logButton.setAttribute('aria-pressed', String(this.logarithmic));
    this.rebuild();
    this.#around.redraw();
  }

  /** Fill the legend with the values under the cursor, or with the newest ones. */
  #describe(): void {
    const left = this.chart?.cursor.left ?? -1;
    const { extras } = this.#around;
    const words = (x: number): string => extras?.place(x) ?? formatCount(x);
    if (this.chart === null || left < 0) {
      this.#legend.show(this.lines, null, this.#around.theme(), '', words);
      this.plot.setAttribute('aria-label', `${this.name}: ${this.#legend.element.textContent}`);
      return;
    }
    const chart = this.chart;
    const near = this.#markers.find(
      marker => Math.abs(chart.valToPos(marker.batch, 'x') - left) <= MARKER_REACH_PX
    );
    const x = near?.batch ?? chart.posToVal(left, 'x');
    this.#legend.show(this.lines, x, this.#around.theme(), extras?.unit ?? 'batch', words);
  }

  #select(chart: uPlot): void {
    const { left, width } = chart.select;
    if (width > 0) {
      this.#around.zoom([chart.posToVal(left, 'x'), chart.posToVal(left + width, 'x')]);
      chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    }
  }

  #options(): uPlot.Options {
    const width = this.#width;
    const { height } = this;
    const { extras } = this.#around;
    const theme = this.#around.theme();
    const axis: uPlot.Axis = {
      stroke: theme.text,
      font: theme.font,
      grid: { stroke: theme.grid, width: 1 },
      ticks: { stroke: theme.grid, width: 1, size: 4 },
      gap: 3
    };
    return {
      width,
      height,
      padding: [extras ? 14 : 8, 24, 0, 0], // half of the last label of the x axis is right of the chart
      legend: { show: false },
      scales: {
        x: { time: false },
        y: {
          ...(this.logarithmic && { distr: 3, log: 10 }),
          range: (_, min, max) =>
            (this.logarithmic ? logRange : linearRange)(...(extras?.y(this, [min, max]) ?? [min, max]))
        }
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
          labelGap: 0,
          ...extras?.axis()
        },
        {
          ...axis,
          size: labelWidth,
          space: 28,
          values: (_, splits, __, ___, step) => tickLabels(splits, this.logarithmic ? null : step)
        }
      ],
      series: [{}, ...this.lines.map((curve, index) => this.#series(curve, index, theme))],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 4 },
        points: { size: 7 },
        focus: { prox: extras?.focusPx ?? -1 },
        sync: {
          key: this.#around.syncKey,
          scales: ['x', null],
          filters: { pub: type => type.startsWith('mousemove') || type === 'mouseleave' }
        },
        bind: {
          dblclick: () => () => {
            this.#around.zoom(null);
            return null;
          }
        }
      },
      hooks: {
        setCursor: [
          chart => {
            this.#around.cursor = { left: chart.cursor.left!, top: chart.cursor.top! };
            if (this.inView) {
              this.#describe();
            }
          }
        ],
        setSeries: [(_, index) => this.#legend.focus(index)],
        setSelect: [chart => this.#select(chart)],
        draw: [
          chart => {
            drawMarkers(chart, this.#markers, this.#around.theme().alarm);
            extras?.drawn(this, chart);
          }
        ]
      }
    };
  }

  #series(curve: Curve, index: number, theme: Theme): uPlot.Series {
    const isMarked = (): boolean =>
      curve.group === 'validation' && curve.length * POINT_ROOM_PX <= this.#width;
    const filter = (): number[] | null => (isMarked() ? null : (this.#table.lone[index] ?? []));
    const points = { show: true, width: 0, size: curve.group === 'validation' ? 6 : 4, filter };
    return { points, ...lookOf(curve, theme) };
  }
}

function linearRange(min: number | null, max: number | null): uPlot.Range.MinMax {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) {
    return [0, 1];
  }
  const pad = max > min ? 0.06 * (max - min) : Math.abs(max) * 0.1 || 1;
  return [min >= 0 ? Math.max(0, min - pad) : min - pad, max + pad];
}

function logRange(min: number | null, max: number | null): uPlot.Range.MinMax {
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
