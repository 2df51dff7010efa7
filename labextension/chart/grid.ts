import { type ChartPatch, Curve, keyOf } from './curve';
import { PanelNames } from './names';
import { type Extras, Panel, type Range, type Surroundings } from './panel';
import { readTheme, watchTheme } from './theme';

export interface ChartOptions {
  /** Height of the plotting area with its axes, in CSS pixels. */
  panelHeight?: number;
  /** Smaller, for a sidebar. */
  compact?: boolean;
  /** Make what the page adds to the charts. */
  extras?: (grid: ChartGrid) => Extras;
}

/** Panels are drawn for so long in one animation frame; the others wait for the next one. */
const DRAW_MS = 4;

let grids = 0;

/**
 * The curves of a run: one panel per metric, in as many columns as fit.
 *
 * Draws only the panels that are in view, in turns, so that every frame has time for the rest of the page. Cursor and zoom are shared by
 * the panels.
 */
export class ChartGrid {
  readonly #controller = new AbortController();
  readonly #curves = new Map<string, Curve>();
  /** By metric, in the order in which they came. */
  readonly panels = new Map<string, Panel>();
  readonly #turns = new Set<Panel>(); // the one that was drawn last is the last
  readonly #around: Surroundings;
  readonly #resizes = new ResizeObserver(entries => this.#resized(entries));
  // A panel is drawn shortly before it comes into view.
  readonly #visibility = new IntersectionObserver(entries => this.#seen(entries), {
    rootMargin: '100px'
  });
  #names = new PanelNames();
  #theme;
  /** The part of the x axis that was zoomed to. */
  zoomed: Range | null = null;
  readonly #extras?: Extras;
  #extent: Range | null = null;
  #frame = 0;

  constructor(
    readonly host: HTMLElement,
    options: ChartOptions = {}
  ) {
    const { signal } = this.#controller;
    const compact = options.compact ?? false;
    host.classList.add('dj-chart', 'dj-panels');
    host.classList.toggle('dj-mod-compact', compact);
    this.#theme = readTheme(host);
    this.#extras = options.extras?.(this);
    this.#around = {
      extras: this.#extras,
      height: options.panelHeight ?? (compact ? 120 : 190),
      syncKey: `dj-grid-${(grids += 1)}`,
      signal,
      cursor: { left: -10, top: -10 },
      theme: () => this.#theme,
      range: () => this.range(),
      isZoomed: () => this.zoomed !== null,
      zoom: range => this.zoom(range),
      redraw: () => this.#schedule()
    };
    document.addEventListener('visibilitychange', () => this.#schedule(), { signal });
    watchTheme(() => this.#restyle(), signal);
  }

  /** Take in new points; they are drawn in the next animation frame. */
  apply(patches: readonly ChartPatch[]): void {
    for (const patch of patches) {
      const panel = this.#panelOf(patch);
      this.#curveOf(patch, panel).apply(patch);
    }
    if (patches.length > 0) {
      this.refresh(); // they share the x axis, so all move when one curve grows
    }
  }

  /** Forget every curve. */
  clear(): void {
    for (const panel of this.panels.values()) {
      panel.destroy();
    }
    this.#resizes.disconnect();
    this.#visibility.disconnect();
    this.panels.clear();
    this.#turns.clear();
    this.#curves.clear();
    this.#names = new PanelNames();
    this.zoomed = this.#extent = null;
    this.#extras?.clear();
  }

  /** Remove everything that the constructor added. */
  dispose(): void {
    cancelAnimationFrame(this.#frame);
    this.#controller.abort();
    this.clear();
    this.host.classList.remove('dj-chart', 'dj-panels', 'dj-mod-compact');
  }

  #panelOf({ group, name }: ChartPatch): Panel {
    const metric = this.#names.panelOf(group, name);
    let panel = this.panels.get(metric);
    if (panel === undefined) {
      panel = new Panel(metric, this.#around);
      this.panels.set(metric, panel);
      this.#turns.add(panel);
      this.host.append(panel.element);
      this.#extras?.add(panel);
      this.#resizes.observe(panel.plot);
      this.#visibility.observe(panel.element);
    }
    return panel;
  }

  #curveOf(patch: ChartPatch, panel: Panel): Curve {
    const key = keyOf(patch);
    let curve = this.#curves.get(key);
    if (curve === undefined) {
      curve = new Curve(patch.group, patch.name, patch.run);
      this.#curves.set(key, curve);
      panel.add(curve);
    }
    return curve;
  }

  #measure(): Range {
    let [min, max] = [Infinity, -Infinity];
    for (const { batches, run } of this.#curves.values()) {
      if (batches.length > 0) {
        const x = (batch: number): number => this.#extras?.x(batch, run) ?? batch;
        min = Math.min(min, x(batches[0]!));
        max = Math.max(max, x(batches[batches.length - 1]!));
      }
    }
    if (min > max) {
      return [0, 1];
    }
    return min === max ? [min - 1, max + 1] : [min, max];
  }

  /** Return the part of the x axis that is shown: what was zoomed to, else all there is. */
  range(): Range {
    return this.zoomed ?? (this.#extent ??= this.#measure());
  }

  /** Show a part of the x axis; null: all of it. */
  zoom(range: Range | null): void {
    this.zoomed = range;
    this.#extras?.zoomed(range);
    this.refresh();
  }

  /** Draw everything again that is in view. */
  refresh(): void {
    this.#extent = null;
    for (const panel of this.#turns) {
      panel.stale = true;
    }
    this.#schedule();
  }

  #resized(entries: readonly ResizeObserverEntry[]): void {
    for (const { target, contentRect } of entries) {
      this.panels.get(metricOf(target.parentElement))?.resize(contentRect.width);
    }
    this.#schedule();
  }

  #seen(entries: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const panel = this.panels.get(metricOf(target));
      if (panel !== undefined) {
        panel.inView = isIntersecting;
      }
    }
    this.#restyle();
  }

  /** Redraw in the present colors of the page; a host has none before it is attached. */
  #restyle(): void {
    const theme = readTheme(this.host);
    if (JSON.stringify(theme) !== JSON.stringify(this.#theme)) {
      this.#theme = theme;
      for (const panel of this.#turns) {
        panel.rebuild();
      }
    }
    this.host.style.setProperty('--dj-alarm', theme.alarm);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#frame === 0 && !document.hidden && !this.#controller.signal.aborted) {
      this.#frame = requestAnimationFrame(() => this.#draw());
    }
  }

  #draw(): void {
    this.#frame = 0;
    const end = performance.now() + DRAW_MS;
    for (const panel of this.#turns) {
      if (panel.isDue) {
        if (performance.now() > end) {
          this.#schedule();
          break;
        }
        this.#turns.delete(panel);
        this.#turns.add(panel);
        panel.draw();
      }
    }
  }
}

function metricOf(element: Element | null): string {
  return (element as HTMLElement).dataset['djPanel']!;
}
