import type uPlot from 'uplot';

import { formatValue } from '../../live/format';
import { type ChartPatch, Curve } from '../curve';
import type { ChartGrid } from '../grid';
import type { Extras, Panel, Range } from '../panel';
import { readTheme } from '../theme';
import { type Axis, axesOf, type Facts } from './axis';
import { Bar } from './bar';
import { type Choices, keepChoices, readChoices } from './choices';
import { cutName, element } from './dom';
import { Layout, splitName } from './layout';
import { isRaw, Lines } from './lines';
import { drawMarks, lineOf, type Mark, marksAt } from './marks';
import { type Item, menuButton } from './menu';
import { withoutOutliers } from './outliers';
import { makeMovable } from './pan';
import { download, fileName, pngOf, svgOf } from './picture';
import { csvOf, tableOf } from './table';
import { openWindow } from './window';

export interface ToolOptions {
  /** What the choices are remembered for; null: they are not. */
  definition?: string | null;
  /** Fetch the points of all curves in a range of batches, exact if they are not too many. */
  fetchRange?: (range: BatchRange) => Promise<readonly ChartPatch[]>;
}

export interface BatchRange {
  from: number;
  to: number;
  /** How many points a curve can have; as many as a chart can show by default. */
  points?: number;
  signal?: AbortSignal;
}

/** The most that the server answers. */
const MOST_POINTS = 20_000;
const LAST_BATCH = 999_999_999;

const FETCH_AFTER_MS = 120;
/** So much of a range is fetched on either side of it: smoothing begins before it, and moving shows points at once. */
const BEYOND = 0.5;

/** The tools of JupyterLab's charts: groups, filter, smoothing, axes, exact zoom, marks, downloads, a table of the values. */
export class ChartTools implements Extras {
  private readonly bar: Bar;
  private readonly layout: Layout;
  private readonly spoken = element('div', 'dj-spoken');
  private readonly listeners = new AbortController();
  private readonly cut = new Map<Panel, readonly [below: number, above: number]>();
  private choices: Choices;
  private axes: readonly Axis[];
  private chosen: Axis;
  private lines_: Lines;
  private marks: readonly Mark[] = [];
  private exact: { from: number; to: number; curves: Map<string, Curve> } | null = null;
  private fetching: AbortController | null = null;
  private arranging = 0;

  constructor(
    private readonly grid: ChartGrid,
    private readonly options: ToolOptions = {}
  ) {
    this.choices = readChoices(options.definition ?? null);
    this.axes = axesOf({ batchesPerEpoch: null, clock: null });
    this.chosen = this.axes[0]!;
    this.lines_ = this.newLines();
    this.bar = new Bar(
      choices => this.choose(choices),
      () => this.arrange()
    );
    this.layout = new Layout(group => this.choose({ toggled: flipped(this.choices.toggled, group) }));
    this.spoken.setAttribute('role', 'status');
    grid.host.classList.remove('dj-panels');
    grid.host.append(this.bar.element, this.layout.element, this.spoken);
    this.bar.show(this.choices, this.axes, this.chosen);
  }

  dispose(): void {
    this.listeners.abort();
    this.fetching?.abort();
    cancelAnimationFrame(this.arranging);
    this.bar.element.remove();
    this.layout.element.remove();
    this.spoken.remove();
  }

  /** Say what is known of the run: it decides which axes there are. */
  setFacts(facts: Facts): void {
    this.axes = axesOf(facts);
    this.chooseAxis();
  }

  setMarks(marks: readonly Mark[]): void {
    this.marks = marks;
    this.grid.refresh();
  }

  /** Have a screen reader say the newest values of a validation. */
  announce(patches: readonly ChartPatch[]): void {
    const values = patches
      .filter(({ group, values }) => group === 'validation' && values.length > 0)
      .map(({ name, values }) => `${name} ${formatValue(values[values.length - 1]!)}`);
    const [first] = patches.filter(({ group, batches }) => group === 'validation' && batches.length > 0);
    if (first !== undefined) {
      const batch = first.batches[first.batches.length - 1]!;
      this.spoken.textContent = `Validation after ${batch} batches: ${values.slice(0, 5).join(', ')}`;
    }
  }

  // Extras

  get unit(): string {
    return this.chosen.unit;
  }

  add(panel: Panel): void {
    const { signal } = this.listeners;
    const [group, rest] = splitName(panel.name);
    const title = panel.head.querySelector('.dj-panel-name')!;
    title.replaceChildren(...cutName(group === null ? panel.name : rest));
    panel.head.append(menuButton(`More for ${panel.name}`, () => this.items(panel)));
    makeMovable(panel, this.grid, signal);
    panel.plot.addEventListener('mousemove', event => this.hover(panel, event), { signal });
    panel.plot.addEventListener('mouseleave', () => (panel.plot.title = ''), { signal });
    this.arranging ||= requestAnimationFrame(() => this.arrange());
    this.layout.element.append(panel.element);
  }

  clear(): void {
    this.layout.clear();
    this.cut.clear();
    this.exact = null;
    this.lines_ = this.newLines();
    this.bar.count(0, 0);
  }

  lines(panel: Panel): readonly Curve[] {
    const { exact } = this;
    const curves =
      exact === null ? panel.curves : panel.curves.map(curve => exact.curves.get(keyOf(curve)) ?? curve);
    return this.lines_.of(curves);
  }

  x(batch: number): number {
    return this.chosen.of(batch);
  }

  place(x: number): string {
    return this.chosen.words(x);
  }

  axis(): Partial<uPlot.Axis> {
    return this.chosen.look;
  }

  y(panel: Panel, [min, max]: uPlot.Range.MinMax): uPlot.Range.MinMax {
    this.cut.delete(panel);
    const scale = panel.chart?.scales['x'];
    if (!this.choices.ignoresOutliers || min === null || max === null) {
      return [min, max];
    }
    const values: number[] = [];
    const [from, to] = [scale?.min ?? -Infinity, scale?.max ?? Infinity];
    for (const { batches, values: all } of panel.lines.filter(isRaw)) {
      for (let i = 0; i < all.length; i += 1) {
        const value = all[i]!;
        if (
          batches[i]! >= from &&
          batches[i]! <= to &&
          Number.isFinite(value) &&
          value >= min &&
          value <= max
        ) {
          values.push(value);
        }
      }
    }
    const [low, high] = withoutOutliers(values, [min, max]);
    const [below, above] = [
      values.filter(value => value < low).length,
      values.filter(value => value > high).length
    ];
    if (below + above > 0) {
      this.cut.set(panel, [below, above]);
    }
    return [low, high];
  }

  drawn(panel: Panel, chart: uPlot): void {
    const theme = readTheme(this.grid.host);
    drawMarks(chart, this.marks, batch => this.chosen.of(batch), theme);
    const cut = this.cut.get(panel);
    panel.element.dataset['djCut'] = cut === undefined ? '' : String(cut[0] + cut[1]);
    if (cut !== undefined) {
      const { ctx, bbox } = chart;
      const ratio = devicePixelRatio;
      const right = bbox.left + bbox.width - 4 * ratio;
      ctx.save();
      ctx.fillStyle = theme.text;
      ctx.font = `${10 * ratio}px ${theme.font.replace(/^\S+ /, '')}`;
      ctx.textAlign = 'right';
      if (cut[1] > 0) {
        ctx.fillText(`↑ ${cut[1]} above`, right, bbox.top + 12 * ratio);
      }
      if (cut[0] > 0) {
        ctx.fillText(`↓ ${cut[0]} below`, right, bbox.top + bbox.height - 4 * ratio);
      }
      ctx.restore();
    }
  }

  zoomed(range: Range | null): void {
    this.fetching?.abort();
    if (range === null || this.options.fetchRange === undefined) {
      this.exact = null;
      return;
    }
    const [first, last] = [this.chosen.batchOf(range[0]), this.chosen.batchOf(range[1])];
    const around = BEYOND * (last - first);
    const [from, to] = [Math.max(0, Math.floor(first)), Math.max(1, Math.ceil(last))];
    if (this.exact !== null && (from < this.exact.from || to > this.exact.to)) {
      this.exact = null;
    }
    const fetching = (this.fetching = new AbortController());
    window.setTimeout(
      () => void this.fetch(Math.max(0, Math.floor(from - around)), Math.ceil(to + around), fetching.signal),
      FETCH_AFTER_MS
    );
  }

  private async fetch(from: number, to: number, signal: AbortSignal): Promise<void> {
    const curves = signal.aborted ? null : await this.fetchCurves(from, to, signal);
    if (!signal.aborted && curves !== null) {
      this.exact = { from, to, curves };
      this.grid.refresh();
    }
  }

  /** Return the exact curves of a range of batches; null if they cannot be had: those that are here stay. */
  private async fetchCurves(
    from: number,
    to: number,
    signal?: AbortSignal,
    points?: number
  ): Promise<Map<string, Curve> | null> {
    const patches = await this.options.fetchRange?.({ from, to, signal, points }).catch(() => null);
    if (!patches) {
      return null;
    }
    const curves = new Map<string, Curve>();
    for (const patch of patches) {
      const curve = new Curve(patch.group, patch.name);
      curve.apply(patch);
      curves.set(keyOf(patch), curve);
    }
    return curves;
  }

  private newLines(): Lines {
    const { chosen } = this;
    const x = chosen.name === 'batch' ? null : (batch: number): number => chosen.of(batch);
    return new Lines({ smoothing: this.choices.smoothing, x });
  }

  private choose(change: Partial<Choices>): void {
    this.choices = { ...this.choices, ...change };
    keepChoices(this.options.definition ?? null, this.choices);
    if (change.toggled !== undefined || change.pinned !== undefined) {
      this.arrange();
    } else {
      this.chooseAxis();
    }
  }

  /** Use the axis that was chosen, if the run allows it, and draw everything again. */
  private chooseAxis(): void {
    const axis = this.axes.find(({ name }) => name === this.choices.axis) ?? this.axes[0]!;
    if (axis.name !== this.chosen.name) {
      this.grid.zoom(null); // another unit
    }
    this.chosen = axis;
    this.lines_ = this.newLines();
    this.bar.show(this.choices, this.axes, axis);
    for (const panel of this.grid.panels.values()) {
      panel.rebuild();
    }
    this.grid.refresh();
  }

  private arrange(): void {
    this.arranging = 0;
    const panels = this.grid.panels;
    const shown = this.layout.arrange(panels.values(), {
      filter: this.bar.filter.value,
      pinned: new Set(this.choices.pinned),
      toggled: new Set(this.choices.toggled)
    });
    this.bar.count(shown, panels.size);
  }

  private items(panel: Panel): Item[] {
    const { name } = panel;
    const isLarge = panel.element.closest('dialog') !== null;
    return [
      ...(isLarge
        ? []
        : [
            { label: 'Enlarge', act: () => this.enlarge(panel) },
            {
              label: 'Pin to the top',
              isChecked: this.choices.pinned.includes(name),
              act: () => this.choose({ pinned: flipped(this.choices.pinned, name) })
            }
          ]),
      { label: 'Show the values as a table', act: () => this.tabulate(panel) },
      ...(this.marks.length > 0 ? [{ label: 'List what happened', act: () => this.listMarks() }] : []),
      { label: 'Download PNG', act: () => void this.save(panel, 'png') },
      { label: 'Download SVG', act: () => void this.save(panel, 'svg') },
      { label: 'Download CSV', act: () => void this.save(panel, 'csv') }
    ];
  }

  private enlarge(panel: Panel): void {
    const { height } = panel;
    const content = element('div', 'dj-large');
    const made = openWindow(panel.name, content, () => {
      setHeight(panel, height);
      this.arrange();
      this.grid.refresh();
    });
    made.classList.add('dj-mod-large');
    content.append(panel.element); // after the window knows what had the focus: a moved element loses it
    const fit = (): void => {
      const room = content.getBoundingClientRect().bottom - panel.plot.getBoundingClientRect().top;
      setHeight(panel, Math.max(height, Math.floor(room)));
      this.grid.refresh();
    };
    const resizes = new ResizeObserver(fit);
    resizes.observe(content);
    made.addEventListener('close', () => resizes.disconnect());
    panel.plot.focus();
  }

  private tabulate(panel: Panel): void {
    openWindow(
      panel.name,
      tableOf(this.chosen.unit, x => this.chosen.words(x), panel.lines),
      () => undefined
    );
  }

  private listMarks(): void {
    const list = element('ol', 'dj-marks');
    list.append(
      ...this.marks.map(mark =>
        element('li', '', element('span', 'dj-marks-at', `batch ${mark.batches}`), ` ${lineOf(mark)}`)
      )
    );
    list.tabIndex = 0;
    openWindow('What happened', list, () => undefined);
  }

  private async save(panel: Panel, kind: 'png' | 'svg' | 'csv'): Promise<void> {
    const name = fileName(panel.name, kind);
    if (kind === 'csv') {
      const exact = await this.fetchCurves(0, LAST_BATCH, undefined, MOST_POINTS);
      const curves = panel.curves.map(curve => exact?.get(keyOf(curve)) ?? curve);
      download(name, new Blob([csvOf('batch', curves)], { type: 'text/csv' }));
      return;
    }
    const theme = readTheme(this.grid.host);
    const svg = svgOf(panel, theme, theme.dark ? '#111111' : '#ffffff');
    if (svg !== null) {
      download(
        name,
        kind === 'png' ? await pngOf(svg) : new Blob([svg.outerHTML], { type: 'image/svg+xml' })
      );
    }
  }

  private hover(panel: Panel, event: MouseEvent): void {
    const { chart } = panel;
    if (chart !== null && this.marks.length > 0) {
      const left = event.clientX - chart.over.getBoundingClientRect().left;
      panel.plot.title = marksAt(chart, this.marks, batch => this.chosen.of(batch), left)
        .map(lineOf)
        .join('\n');
    }
  }
}

function setHeight(panel: Panel, height: number): void {
  panel.height = height;
  panel.plot.style.height = `${height}px`;
}

function keyOf({ group, name }: { group: string; name: string }): string {
  return `${group}:${name}`;
}

function flipped(names: readonly string[], name: string): string[] {
  return names.includes(name) ? names.filter(other => other !== name) : [...names, name];
}
