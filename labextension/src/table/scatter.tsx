/** A hyperparameter against a metric, with a dot for each run. */
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import { formatCount } from '../../live/format';
import type { Axis } from './axes';
import type { PlotProps } from './plot';
import { drawingOrder, fitted, steering, useWidth } from './plot';

const HEIGHT_PX = 260;
const TOP_PX = 24;
const BOTTOM_PX = 40;
const LEFT_PX = 58;
const RIGHT_PX = 34;
const WIDEST_PX = 640;
const DOT_PX = 5;
/** The dots at the ends of the axes are whole. */
const EDGE_PX = 8;

interface ScatterProps extends PlotProps {
  x: Axis;
  y: Axis;
}

export function Scatter(props: ScatterProps): JSX.Element {
  const { x, y, names, colors, isShown, active, onActive } = props;
  const host = React.useRef<HTMLDivElement>(null);
  const width = Math.min(WIDEST_PX, useWidth(host));
  const right = width - RIGHT_PX;
  const bottom = HEIGHT_PX - BOTTOM_PX;
  const atX = (place: number): number => LEFT_PX + EDGE_PX + place * (right - LEFT_PX - 2 * EDGE_PX);
  const atY = (place: number): number => bottom - EDGE_PX - place * (bottom - TOP_PX - 2 * EDGE_PX);
  const isThere = (run: number): boolean => x.places[run] !== null && y.places[run] !== null;
  const missing = names.filter((_, run) => !isThere(run)).length;
  const named = (axis: Axis): string => (axis.kind === 'log' ? `${axis.label} (log)` : axis.label);
  const tickRoomPx = (right - LEFT_PX) / Math.max(1, x.ticks.length);
  return (
    <div ref={host} className="dj-Plot">
      <svg
        width={width}
        height={HEIGHT_PX}
        {...steering(props, `${y.label} against ${x.label} of ${names.length} runs`)}
      >
        <g className="dj-Plot-axis">
          <text x={4} y={14} className="dj-Plot-name">
            <title>{y.label}</title>
            {fitted(named(y), width - 8)}
          </text>
          <text x={right} y={HEIGHT_PX - 6} textAnchor="end" className="dj-Plot-name">
            <title>{x.label}</title>
            {fitted(named(x), width - 8)}
          </text>
          <line x1={LEFT_PX} x2={right} y1={bottom} y2={bottom} />
          <line x1={LEFT_PX} x2={LEFT_PX} y1={TOP_PX} y2={bottom} />
          {y.ticks.map(({ place, label }) => (
            <g key={label}>
              <line className="dj-Plot-grid" x1={LEFT_PX} x2={right} y1={atY(place)} y2={atY(place)} />
              <text x={LEFT_PX - 6} y={atY(place) + 4} textAnchor="end" className="dj-Plot-tick">
                {fitted(label, LEFT_PX - 8)}
              </text>
            </g>
          ))}
          {x.ticks.map(({ place, label }) => (
            <g key={label}>
              <line x1={atX(place)} x2={atX(place)} y1={bottom} y2={bottom + 4} />
              <text x={atX(place)} y={bottom + 16} textAnchor="middle" className="dj-Plot-tick">
                <title>{label}</title>
                {fitted(label, tickRoomPx)}
              </text>
            </g>
          ))}
        </g>
        {drawingOrder(props)
          .filter(isThere)
          .map(run => (
            <circle
              key={run}
              className={classes(
                'dj-Plot-dot',
                isShown[run] ? '' : 'dj-mod-out',
                run === active ? 'dj-mod-active' : ''
              )}
              cx={atX(x.places[run]!)}
              cy={atY(y.places[run]!)}
              r={run === active ? DOT_PX + 2 : DOT_PX}
              fill={colors[run]}
              onPointerEnter={() => isShown[run] && onActive(run)}
            >
              <title>{`${names[run]}\n${x.label} ${x.texts[run]}\n${y.label} ${y.texts[run]}`}</title>
            </circle>
          ))}
      </svg>
      {missing > 0 && (
        <p className="dj-faint">
          {missing === 1 ? '1 run has' : `${formatCount(missing)} runs have`} no value on one of the two axes.
        </p>
      )}
    </div>
  );
}
