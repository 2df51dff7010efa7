/** The shared chart as a React component. */
import * as React from 'react';

import type { ChartPatch } from '../../chart';
import { ChartGrid } from '../../chart';
import type { Curves } from '../model/curves';

/** Draws all curves, and then what is added to them. */
export const CurvesChart = React.memo(function CurvesChart({ curves }: { curves: Curves }): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    if (host.current === null) {
      return;
    }
    const grid = new ChartGrid(host.current, { compact: true });
    const onPatched = (_: Curves, patches: readonly ChartPatch[] | null): void => {
      if (patches === null) {
        grid.clear();
      } else {
        grid.apply(patches);
      }
    };
    grid.apply(curves.all());
    curves.patched.connect(onPatched);
    return () => {
      curves.patched.disconnect(onPatched);
      grid.dispose();
    };
  }, [curves]);
  return <div ref={host} className="dj-Curves" />;
});
