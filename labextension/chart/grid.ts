import { type ChartPatch, Curve } from './curve';
import { PanelNames } from './names';
import { Panel, type Range, type Surroundings } from './panel';
import { readTheme, watchTheme } from './theme';

export interface ChartOptions {
  /** Height of the plotting area with its axes, in CSS pixels. */
  panelHeight?: number;
  /** Smaller, for a sidebar. */
  compact?: boolean;
}

let grids = 0;

/**
 * The curves of a run: one panel per metric, in as many columns as fit.
 *
 * Draws at most once per animation frame, and not at all while it is out of sight. Cursor and zoom are shared by the panels.
 */
export class ChartGrid {
  private readonly controller = new AbortController();
  private readonly curves = new Map<string, Curve>();
  private readonly panels = new Map<string, Panel>();
  private readonly around: Surroundings;
  private readonly resizes: ResizeObserver;
  private names = new PanelNames();
  private theme;
  private zoomed: Range | null = null;
  private onScreen = true;
  private frame = 0;

  constructor(
    private readonly host: HTMLElement,
    options: ChartOptions = {}
  ) {
    const { signal } = this.controller;
    const compact = options.compact ?? false;
    host.classList.add('dj-chart');
    host.classList.toggle('dj-mod-compact', compact);
    this.theme = readTheme(host);
    this.around = {
      height: options.panelHeight ?? (compact ? 120 : 190),
      syncKey: `dj-grid-${(grids += 1)}`,
      signal,
      theme: () => this.theme,
      range: () => this.zoomed ?? this.extent(),
      isZoomed: () => this.zoomed !== null,
      zoom: range => this.zoom(range),
      redraw: () => this.schedule()
    };
    this.resizes = new ResizeObserver(() => this.resized());
    this.resizes.observe(host);
    const visibility = new IntersectionObserver(entries => this.seen(entries));
    visibility.observe(host);
    document.addEventListener('visibilitychange', () => this.schedule(), { signal });
    watchTheme(() => this.restyle(), signal);
    signal.addEventListener('abort', () => visibility.disconnect(), { once: true });
  }

  /** Take in new points; they are drawn in the next animation frame. */
  apply(patches: readonly ChartPatch[]): void {
    for (const patch of patches) {
      const panel = this.panelOf(patch);
      this.curveOf(patch, panel).apply(patch);
    }
    if (patches.length > 0) {
      for (const panel of this.panels.values()) {
        panel.stale = true; // they share the x axis, so all move when one curve grows
      }
      this.schedule();
    }
  }

  /** Forget every curve. */
  clear(): void {
    for (const panel of this.panels.values()) {
      this.resizes.unobserve(panel.plot);
      panel.destroy();
    }
    this.panels.clear();
    this.curves.clear();
    this.names = new PanelNames();
    this.zoomed = null;
  }

  /** Remove everything that the constructor added. */
  dispose(): void {
    cancelAnimationFrame(this.frame);
    this.controller.abort();
    this.resizes.disconnect();
    this.clear();
    this.host.classList.remove('dj-chart', 'dj-mod-compact');
  }

  private panelOf({ group, name }: ChartPatch): Panel {
    const metric = this.names.panelOf(group, name);
    let panel = this.panels.get(metric);
    if (panel === undefined) {
      panel = new Panel(metric, this.around);
      this.panels.set(metric, panel);
      this.host.append(panel.element);
      this.resizes.observe(panel.plot);
    }
    return panel;
  }

  private curveOf({ group, name }: ChartPatch, panel: Panel): Curve {
    const key = `${group}:${name}`;
    let curve = this.curves.get(key);
    if (curve === undefined) {
      curve = new Curve(group, name);
      this.curves.set(key, curve);
      panel.add(curve);
    }
    return curve;
  }

  private extent(): Range {
    let [min, max] = [Infinity, -Infinity];
    for (const { batches } of this.curves.values()) {
      if (batches.length > 0) {
        min = Math.min(min, batches[0]!);
        max = Math.max(max, batches[batches.length - 1]!);
      }
    }
    if (min > max) {
      return [0, 1];
    }
    return min === max ? [min - 1, max + 1] : [min, max];
  }

  private zoom(range: Range | null): void {
    this.zoomed = range;
    for (const panel of this.panels.values()) {
      panel.stale = true;
    }
    this.schedule();
  }

  private resized(): void {
    for (const panel of this.panels.values()) {
      panel.resize();
    }
    this.schedule();
  }

  private seen(entries: readonly IntersectionObserverEntry[]): void {
    this.onScreen = entries[entries.length - 1]?.isIntersecting ?? true;
    this.restyle();
  }

  /** Redraw in the present colors of the page; a host has none before it is attached. */
  private restyle(): void {
    const theme = readTheme(this.host);
    if (JSON.stringify(theme) !== JSON.stringify(this.theme)) {
      this.theme = theme;
      for (const panel of this.panels.values()) {
        panel.rebuild();
      }
    }
    this.host.style.setProperty('--dj-alarm', theme.alarm);
    this.schedule();
  }

  private schedule(): void {
    if (this.frame === 0 && this.onScreen && !document.hidden && !this.controller.signal.aborted) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        for (const panel of this.panels.values()) {
          if (panel.stale) {
            panel.draw();
          }
        }
      });
    }
  }
}
