/** The shared chart as a React component. */
import * as React from 'react';

import type { ChartPatch } from '../../chart';
import { ChartGrid } from '../../chart';
import type { ChartTools } from '../../chart/tools';
import type { RunRecord } from '../../protocol';
import type { Api } from '../api';
import type { Curves } from '../model/curves';
import { RunSource, toolsOf } from '../model/source';

interface ChartProps {
  curves: Curves;
  /** The run of the curves: what remembers the user's choices, and knows exact points, times and marks. */
  run?: RunSource | null;
}

/** Draws all curves, and then what is added to them. */
export const CurvesChart = React.memo(function CurvesChart({ curves, run = null }: ChartProps): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  // A newer record of the same run must not make a new chart, which would forget its zoom.
  const source = React.useRef(run);
  const tools = React.useRef<ChartTools | null>(null);
  const runId = run?.record.id ?? null;

  React.useEffect(() => {
    source.current = run; // first: the chart of another run begins with it
  }, [run]);

  React.useEffect(() => {
    if (host.current === null) {
      return;
    }
    const grid = new ChartGrid(host.current, {
      compact: true,
      extras: made => (tools.current = toolsOf(made, source.current))
    });
    const onPatched = (_: Curves, patches: readonly ChartPatch[] | null): void => {
      if (patches === null) {
        grid.clear();
      } else {
        grid.apply(patches);
        tools.current?.announce(patches);
      }
    };
    grid.apply(curves.all());
    curves.patched.connect(onPatched);
    return () => {
      curves.patched.disconnect(onPatched);
      grid.dispose();
      tools.current?.dispose();
      tools.current = null;
    };
  }, [curves, runId]);

  React.useEffect(() => {
    if (run !== null && tools.current !== null) {
      return run.follow(tools.current);
    }
    return undefined;
  }, [run, curves]);

  return <div ref={host} className="dj-Curves" />;
});

/** Return the run as charts need it: another object when what they show of it can have changed. */
export function useSource(api: Api, run: RunRecord | null): RunSource | null {
  return React.useMemo(
    () => (run === null ? null : new RunSource(api, run)),
    // the record itself is another object at each message
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [api, run?.id, run?.updated_at]
  );
}
