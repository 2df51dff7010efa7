import type { Panel, Range } from '../panel';

/** What moving needs of the charts. */
export interface Movable {
  readonly zoomed: Range | null;
  range(): Range;
  zoom(range: Range | null): void;
}

const STEP = 0.2;
const CLOSER = 0.5;

/** Let the plot of a panel be moved by shift and drag, and by keys while it has the focus. */
export function makeMovable(panel: Panel, charts: Movable, signal: AbortSignal): void {
  const { plot } = panel;
  plot.tabIndex = 0;
  plot.title = '';
  plot.setAttribute('aria-description', 'Arrow keys move, plus and minus zoom, Escape shows everything.');
  plot.setAttribute('aria-keyshortcuts', 'ArrowLeft ArrowRight + - Escape');
  plot.addEventListener('keydown', event => key(event, charts), { signal });
  // Before the chart sees it, which would begin a selection.
  plot.addEventListener('mousedown', event => drag(event, panel, charts, signal), { signal, capture: true });
}

/** Return `[min, max]` moved by a share of its width, or made wider by a factor around its middle. */
export function moved([min, max]: Range, by: number, factor = 1): Range {
  const [width, middle] = [max - min, (min + max) / 2 + by * (max - min)];
  return [middle - (factor * width) / 2, middle + (factor * width) / 2];
}

function key(event: KeyboardEvent, charts: Movable): void {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const range = charts.range();
  const places: Readonly<Record<string, () => Range | null>> = {
    ArrowLeft: () => moved(range, -STEP),
    ArrowRight: () => moved(range, STEP),
    '+': () => moved(range, 0, CLOSER),
    '=': () => moved(range, 0, CLOSER),
    '-': () => moved(range, 0, 1 / CLOSER),
    Escape: () => null
  };
  const place = places[event.key];
  // When there is nothing to reset, Escape is for what is around the charts.
  if (place !== undefined && (event.key !== 'Escape' || charts.zoomed !== null)) {
    event.preventDefault();
    event.stopPropagation();
    charts.zoom(place());
  }
}

function drag(event: MouseEvent, { chart }: Panel, charts: Movable, signal: AbortSignal): void {
  if (!event.shiftKey || event.button !== 0 || chart === null) {
    return;
  }
  event.preventDefault();
  event.stopPropagation();
  const begin = event.clientX;
  const range = charts.range();
  const width = chart.over.clientWidth;
  const ended = new AbortController();
  const listeners = { signal: AbortSignal.any([signal, ended.signal]) };
  document.addEventListener(
    'mousemove',
    ({ clientX }) => charts.zoom(moved(range, (begin - clientX) / width)),
    listeners
  );
  document.addEventListener('mouseup', () => ended.abort(), listeners);
}
