/** What the plots of runs share. */
import * as React from 'react';

export interface PlotProps {
  names: readonly string[];
  colors: readonly string[];
  /** Whether each run is in the ranges of all axes. */
  isShown: readonly boolean[];
  active: number | null;
  onActive: (run: number | null) => void;
}

/** The width of an element in pixels, 0 before it is laid out. */
export function useWidth(host: React.RefObject<HTMLElement>): number {
  const [width, setWidth] = React.useState(0);
  React.useLayoutEffect(() => {
    const element = host.current;
    if (element === null) {
      return;
    }
    const sizes = new ResizeObserver(() => setWidth(element.clientWidth));
    sizes.observe(element);
    return () => sizes.disconnect();
  }, [host]);
  return width;
}

/** Return the attributes with which the drawing `label` is focused, and the arrow keys go through the runs in the ranges. */
export function steering(props: PlotProps, label: string): React.SVGAttributes<SVGSVGElement> {
  const leave = (): void => props.onActive(null);
  return {
    role: 'img',
    tabIndex: 0,
    'aria-label': `${label}. The arrow keys go from run to run.`,
    onKeyDown: event => onKey(props, event),
    onPointerLeave: leave,
    onBlur: leave
  };
}

function onKey({ isShown, active, onActive }: PlotProps, event: React.KeyboardEvent): void {
  const runs = isShown.flatMap((shown, run) => (shown ? [run] : []));
  const at = runs.indexOf(active ?? -1);
  const next =
    event.key === 'ArrowRight' || event.key === 'ArrowDown'
      ? at + 1
      : event.key === 'ArrowLeft' || event.key === 'ArrowUp'
        ? (at === -1 ? runs.length : at) - 1
        : null;
  if (next !== null && runs.length > 0) {
    onActive(runs[(next + runs.length) % runs.length]!);
    event.preventDefault();
  }
}

/** The order in which runs are drawn: those out of the ranges first, the active one last. */
export function drawingOrder({ names, isShown, active }: PlotProps): number[] {
  const rank = (run: number): number => (run === active ? 2 : isShown[run] ? 1 : 0);
  return names.map((_, run) => run).sort((a, b) => rank(a) - rank(b));
}

/** Return a text that is about so many pixels wide at most. */
export function fitted(text: string, widthPx: number): string {
  const most = Math.max(3, Math.floor(widthPx / 6.6));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
