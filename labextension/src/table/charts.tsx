/** The curves of compared runs in the charts that every run has. */
import * as React from 'react';

import { ChartGrid } from '../../chart';
import { runLook } from '../../chart/tools';
import { readTheme, watchTheme } from '../../chart/theme';
import type { ComparisonRecord } from '../../protocol';
import type { Api } from '../api';
import { columnsOf } from '../model/curves';
import { comparisonTools } from '../model/source';

interface ComparedChartsProps {
  api: Pick<Api, 'story' | 'seriesBetween'>;
  record: ComparisonRecord;
}

export function ComparedCharts({ api, record }: ComparedChartsProps): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (host.current === null) {
      return;
    }
    let tools: ReturnType<typeof comparisonTools> | null = null;
    const grid = new ChartGrid(host.current, {
      extras: made => (tools = comparisonTools(made, api, record))
    });
    const ids = record.runs.map(({ id }) => id);
    grid.apply(
      record.metrics.flatMap(({ curves }) =>
        curves.flatMap((curve, index) => (curve === null ? [] : [{ ...columnsOf(curve), run: ids[index]! }]))
      )
    );
    return () => {
      grid.dispose();
      tools?.dispose();
    };
  }, [api, record]);
  return <div ref={host} className="dj-Curves" />;
}

/** The line with which a run is drawn. */
export function RunSwatch({ place }: { place: number }): JSX.Element {
  const host = React.useRef<SVGSVGElement>(null);
  const isDark = useIsDark(host);
  const { stroke, dash } = runLook(place, 'training', isDark);
  return (
    <svg ref={host} className="dj-Swatch" width="22" height="8" aria-hidden="true">
      <line x1="0" y1="4" x2="22" y2="4" stroke={stroke} strokeWidth="2.5" strokeDasharray={dash.join(' ')} />
    </svg>
  );
}

/** Whether the page is dark where an element is, read again when its theme changes. */
export function useIsDark(element: React.RefObject<Element>): boolean {
  const [isDark, setIsDark] = React.useState(false);
  React.useEffect(() => {
    const listeners = new AbortController();
    const read = (): void => {
      if (element.current !== null) {
        setIsDark(readTheme(element.current).dark);
      }
    };
    watchTheme(read, listeners.signal);
    read();
    return () => listeners.abort();
  }, [element]);
  return isDark;
}
