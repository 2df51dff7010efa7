import type uPlot from 'uplot';

import { formatValue } from '../../live/format';
import type { ChartPatch, Curve } from '../curve';
import type { ChartGrid } from '../grid';
import type { Extras, Panel, Range } from '../panel';
import { readTheme } from '../theme';
import { type Axis, axesOf } from './axis';
import { Bar } from './bar';
import { type Choices, keepChoices, readChoices } from './choices';
import { OutlierCuts } from './cuts';
import { cutName, element } from './dom';
import { ExactCurves, type FetchRange } from './exact';
import { Layout, splitName } from './layout';
import { Lines, type Treatment } from './lines';
import { drawMarks, lineOf, lostValues, type Mark, marksAt } from './marks';
import { type Item, menuButton } from './menu';
import { type OtherRuns, RunsBar } from './others';
import { makeMovable } from './pan';
import { type ChartRun, ChartRuns } from './runs';
import { savePicture, saveValues } from './saving';
import { tableOf } from './table';
import { openWindow } from './window';
import { enlarge, listMarks } from './windows';

export interface ToolOptions {
  /** The runs of the charts: the one that they are for, or several. */
  runs: readonly ChartRun[];
  /** What the choices are remembered for; null: they are not. */
  definition?: string | null;
  fetchRange?: FetchRange;
  /** The runs that the user can add. */
  others?: OtherRuns;
}

/** The pointer reaches a curve from so far away. */
const FOCUS_PX = 24;

/** The tools of JupyterLab's charts: groups, filter, smoothing, axes, exact zoom, several runs, marks, downloads, a table of the values. */
export class ChartTools implements Extras {
  private readonly bar: Bar;
  private readonly runsBar: RunsBar;
  private readonly layout: Layout;
  private readonly spoken = element('div', 'dj-spoken');
  private readonly listeners = new AbortController();
  private readonly cuts = new OutlierCuts();
  private readonly exact: ExactCurves;
  private readonly runs = new ChartRuns();
  private readonly drawnLines: Lines;
  private choices: Choices;
  private axes: readonly Axis[];
  private chosen: Axis;
  private marks: readonly Mark[] = [];
  private arranging = 0;
  private isDark: boolean;

  constructor(
    private readonly grid: ChartGrid,
    private readonly options: ToolOptions
  ) {
    options.runs.forEach(run => this.runs.set(run));
    this.isDark = readTheme(grid.host).dark;
    this.choices = readChoices(options.definition ?? null);
    this.axes = axesOf(this.runs.all);
    this.chosen = this.axes[0]!;
    this.exact = new ExactCurves(options.fetchRange, () => grid.refresh());
    this.drawnLines = new Lines(this.treatment());
    this.bar = new Bar(
      choices => this.choose(choices),
      () => this.arrange()
    );
    this.runsBar = new RunsBar(options.others, this.runs, {
      add: (run, patches) => this.addRun(run, patches),
      remove: id => this.removeRun(id)
    });
    this.layout = new Layout(group => this.choose({ toggled: flipped(this.choices.toggled, group) }));
    this.spoken.setAttribute('role', 'status');
    grid.host.classList.remove('dj-panels');
    this.bar.element.append(this.runsBar.element);
    grid.host.append(this.bar.element, this.layout.element, this.spoken);
    this.changeRuns();
  }

  dispose(): void {
    this.listeners.abort();
    this.exact.clear();
    cancelAnimationFrame(this.arranging);
    this.bar.element.remove();
    this.layout.element.remove();
    this.spoken.remove();
  }

  /** Say what is known of a run of the charts: it decides which axes there are. */
  setRun(run: ChartRun): void {
    this.runs.set(run);
    this.useAxes();
    this.grid.refresh();
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

  get focusPx(): number {
    return this.runs.areSeveral ? FOCUS_PX : -1;
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
    this.exact.clear();
    this.drawnLines.clear();
    this.bar.count(0, 0);
  }

  lines(panel: Panel): readonly Curve[] {
    this.isDark = readTheme(this.grid.host).dark;
    this.runsBar.show(this.isDark);
    return this.drawnLines.of(panel.curves.map(curve => this.exact.of(curve)));
  }

  x(batch: number, run: string): number {
    return this.chosen.of(batch, run);
  }

  place(x: number): string {
    return this.chosen.words(x);
  }

  axis(): Partial<uPlot.Axis> {
    return this.chosen.look;
  }

  y(panel: Panel, range: uPlot.Range.MinMax): uPlot.Range.MinMax {
    if (this.choices.ignoresOutliers) {
      return this.cuts.range(panel, range);
    }
    this.cuts.forget(panel);
    return range;
  }

  drawn(panel: Panel, chart: uPlot): void {
    const theme = readTheme(this.grid.host);
    drawMarks(chart, this.marksOf(panel), this.chosen.of, theme);
    this.cuts.draw(panel, chart, theme);
  }

  zoomed(range: Range | null): void {
    if (range === null) {
      this.exact.clear();
      return;
    }
    const batches = (id: string): Range => [
      this.chosen.batchOf(range[0], id),
      this.chosen.batchOf(range[1], id)
    ];
    this.exact.show(new Map(this.runs.all.map(({ id }) => [id, batches(id)])));
  }

  private treatment(): Treatment {
    const { chosen, runs } = this;
    return {
      smoothing: this.choices.smoothing,
      x: chosen.name === 'batch' ? null : chosen.of,
      look: runs.areSeveral ? curve => runs.lookOf(curve, this.isDark) : null
    };
  }

  private choose(change: Partial<Choices>): void {
    this.choices = { ...this.choices, ...change };
    keepChoices(this.options.definition ?? null, this.choices);
    if (change.toggled !== undefined || change.pinned !== undefined) {
      this.arrange();
    } else {
      this.useAxes();
      this.rebuild();
    }
  }

  /** Offer the axes that the runs allow, and use the one that was chosen if it is among them. */
  private useAxes(): void {
    this.axes = axesOf(this.runs.all);
    const axis = this.axes.find(({ name }) => name === this.choices.axis) ?? this.axes[0]!;
    const isOther = axis.name !== this.chosen.name;
    this.chosen = axis;
    this.drawnLines.treatment = this.treatment();
    this.bar.show(this.choices, this.axes, axis);
    if (isOther) {
      this.grid.zoom(null); // another unit
      this.rebuild();
    }
  }

  private rebuild(): void {
    for (const panel of this.grid.panels.values()) {
      panel.rebuild();
    }
    this.grid.refresh();
  }

  private addRun(run: ChartRun, patches: readonly ChartPatch[]): void {
    this.runs.set(run);
    this.grid.apply(patches.map(patch => ({ ...patch, run: run.id })));
    this.changeRuns();
    if (this.grid.zoomed !== null) {
      this.zoomed(this.grid.zoomed);
    }
  }

  private removeRun(id: string): void {
    const { zoomed, panels } = this.grid;
    const kept = Array.from(panels.values(), ({ curves }) => curves)
      .flat()
      .filter(({ run }) => run !== id)
      .map(({ group, name, run, batches, values }) => ({ group, name, run, start: 0, batches, values }));
    this.runs.delete(id);
    this.grid.clear();
    this.grid.apply(kept);
    this.arrange();
    this.changeRuns();
    this.grid.zoom(zoomed);
  }

  private changeRuns(): void {
    this.useAxes();
    this.runsBar.show(this.isDark, true);
    this.grid.host.classList.toggle('dj-mod-runs', this.runs.areSeveral);
    this.rebuild();
  }

  private arrange(): void {
    cancelAnimationFrame(this.arranging);
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
    const marks = this.marksOf(panel);
    const nameOf = (curve: Curve): string => this.runs.nameOf(curve);
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
      {
        label: 'Show the values as a table',
        act: () => {
          const values = tableOf(this.chosen.unit, this.chosen.words, panel.lines, nameOf);
          openWindow(name, values, () => undefined);
        }
      },
      ...(marks.length > 0 ? [{ label: 'List what happened', act: () => listMarks(marks) }] : []),
      { label: 'Download PNG', act: () => void savePicture(panel, this.grid.host, 'png') },
      { label: 'Download SVG', act: () => void savePicture(panel, this.grid.host, 'svg') },
      {
        label: 'Download CSV',
        act: () => void this.exact.complete(panel.curves).then(curves => saveValues(panel, curves, nameOf))
      }
    ];
  }

  private enlarge(panel: Panel): void {
    enlarge(
      panel,
      () => this.grid.refresh(),
      () => {
        this.arrange();
        this.grid.refresh();
      }
    );
  }

  private hover(panel: Panel, event: MouseEvent): void {
    const { chart } = panel;
    if (chart !== null) {
      const left = event.clientX - chart.over.getBoundingClientRect().left;
      panel.plot.title = marksAt(chart, this.marksOf(panel), this.chosen.of, left).map(lineOf).join('\n');
    }
  }

  /** Return what happened in the run, and where the values of a panel are no numbers. */
  private marksOf(panel: Panel): readonly Mark[] {
    const lost = lostValues(panel.curves, curve => this.runs.nameOf(curve));
    return lost.length === 0 ? this.marks : [...this.marks, ...lost].sort((a, b) => a.batches - b.batches);
  }
}

function flipped(names: readonly string[], name: string): string[] {
  return names.includes(name) ? names.filter(other => other !== name) : [...names, name];
}
