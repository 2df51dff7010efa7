/** Windowing: of a long list of equally high rows, which ones can be seen. */
import * as React from 'react';

/** Rows rendered beyond the edges, so that fast scrolling shows no gap. */
const MARGIN_ROWS = 8;

export interface Window {
  first: number;
  /** One past the last. */
  end: number;
}

/**
 * Return the rows of the list at `host` that its scrolling ancestor shows.
 *
 * The ancestor is given as a selector; the list has `count` rows, each `rowHeight` CSS pixels high. The list's parent contains all that
 * is scrolled with it.
 */
export function useWindow(
  host: React.RefObject<HTMLElement>,
  scroller: string,
  count: number,
  rowHeight: number
): Window {
  const [range, setRange] = React.useState<Window>({ first: 0, end: Math.min(count, 50) });
  React.useLayoutEffect(() => {
    const list = host.current;
    const view = list?.closest<HTMLElement>(scroller);
    if (!list || !view) {
      return;
    }
    const measure = (): void => {
      const above = view.getBoundingClientRect().top - list.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(above / rowHeight) - MARGIN_ROWS);
      const end = Math.min(count, Math.ceil((above + view.clientHeight) / rowHeight) + MARGIN_ROWS);
      setRange(old => (old.first === first && old.end === end ? old : { first, end: Math.max(first, end) }));
    };
    measure();
    const listeners = new AbortController();
    view.addEventListener('scroll', measure, { passive: true, signal: listeners.signal });
    const sizes = new ResizeObserver(measure);
    sizes.observe(view);
    // What is above the list moves it when it comes, goes or grows, and no scroll event says so.
    if (list.parentElement !== null) {
      sizes.observe(list.parentElement);
    }
    return () => {
      listeners.abort();
      sizes.disconnect();
    };
  }, [host, scroller, count, rowHeight]);
  return { first: Math.min(range.first, count), end: Math.min(range.end, count) };
}
