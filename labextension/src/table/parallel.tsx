/** Parallel coordinates: an axis for each hyperparameter and one for the metric, and a line through them for each run. */
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Axis, Filter, Filters } from './axes';
import { filterBetween, spanOf } from './axes';
import type { PlotProps } from './plot';
import { drawingOrder, fitted, steering, useWidth } from './plot';

const TOP_PX = 30;
const PLOT_PX = 200;
/** The place of runs without a value, below the axes. */
const NONE_PX = 26;
const SIDE_PX = 56;
const NARROWEST_PX = 92;
/** A drag that is shorter is a click. */
const CLICK_PX = 4;

interface ParallelProps extends PlotProps {
  axes: readonly Axis[];
  filters: Filters;
  onFilter: (id: string, filter: Filter | null) => void;
}

export function Parallel(props: ParallelProps): JSX.Element {
  const { axes, names, colors, isShown, active, onActive, filters, onFilter } = props;
  const host = React.useRef<HTMLDivElement>(null);
  const width = Math.max(useWidth(host), 2 * SIDE_PX + NARROWEST_PX * (axes.length - 1));
  const stepPx = axes.length === 1 ? 0 : (width - 2 * SIDE_PX) / (axes.length - 1);
  const hasNone = axes.some(({ places }) => places.includes(null));
  const height = TOP_PX + PLOT_PX + (hasNone ? NONE_PX : 0) + 10;
  const y = (place: number | null): number =>
    place === null ? TOP_PX + PLOT_PX + NONE_PX - 6 : TOP_PX + PLOT_PX * (1 - place);
  const x = (index: number): number => SIDE_PX + index * stepPx;
  const lineOf = (run: number): string =>
    axes
      .map(
        ({ places }, index) =>
          `${index === 0 ? 'M' : 'L'}${x(index).toFixed(1)} ${y(places[run]!).toFixed(1)}`
      )
      .join('');
  return (
    <div ref={host} className="dj-Plot">
      <svg
        width={width}
        height={height}
        {...steering(
          props,
          `Parallel coordinates of ${names.length} runs: ${axes.map(({ label }) => label).join(', ')}`
        )}
      >
        {drawingOrder(props).map(run => (
          <g
            key={run}
            className={classes(
              'dj-Plot-run',
              isShown[run] ? '' : 'dj-mod-out',
              run === active ? 'dj-mod-active' : ''
            )}
            onPointerEnter={() => isShown[run] && onActive(run)}
          >
            <path className="dj-Plot-line" d={lineOf(run)} stroke={colors[run]} />
            <path className="dj-Plot-reach" d={lineOf(run)}>
              <title>{names[run]}</title>
            </path>
          </g>
        ))}
        {axes.map((axis, index) => (
          <Column
            key={axis.id}
            axis={axis}
            x={x(index)}
            y={y}
            roomPx={index === 0 || index === axes.length - 1 ? SIDE_PX + stepPx / 2 : stepPx}
            anchor={axes.length > 1 && index === 0 ? 'start' : index === axes.length - 1 ? 'end' : 'middle'}
            filter={filters.get(axis.id)}
            onFilter={filter => onFilter(axis.id, filter)}
          />
        ))}
      </svg>
    </div>
  );
}

interface ColumnProps {
  axis: Axis;
  x: number;
  y: (place: number | null) => number;
  roomPx: number;
  anchor: 'start' | 'middle' | 'end';
  filter: Filter | undefined;
  onFilter: (filter: Filter | null) => void;
}

function Column({ axis, x, y, roomPx, anchor, filter, onFilter }: ColumnProps): JSX.Element {
  const [dragged, setDragged] = React.useState<readonly [from: number, to: number] | null>(null);
  const pointAt = (event: React.PointerEvent): number =>
    event.clientY - (event.currentTarget.closest('svg')?.getBoundingClientRect().top ?? 0);
  const place = (point: number): number => 1 - (point - TOP_PX) / PLOT_PX;
  const span = dragged === null ? filter && spanOf(axis, filter).map(y) : dragged;
  const finish = (event: React.PointerEvent): void => {
    if (dragged !== null) {
      const [from] = dragged;
      const to = pointAt(event);
      onFilter(Math.abs(to - from) < CLICK_PX ? null : filterBetween(axis, place(from), place(to)));
      setDragged(null);
    }
  };
  const nameX = anchor === 'start' ? 4 : anchor === 'end' ? x + SIDE_PX - 4 : x;
  // Outside of the lines where there is room.
  const [tickX, tickAnchor] = anchor === 'start' ? ([x - 9, 'end'] as const) : ([x + 9, 'start'] as const);
  return (
    <g className="dj-Plot-axis">
      <text x={nameX} y={14} textAnchor={anchor} className="dj-Plot-name">
        <title>{axis.label}</title>
        {fitted(axis.kind === 'log' ? `${axis.label} (log)` : axis.label, roomPx - 8)}
      </text>
      <line x1={x} x2={x} y1={y(1)} y2={y(0)} />
      {axis.places.includes(null) && (
        <text x={x} y={y(null) + 4} textAnchor="middle" className="dj-Plot-tick dj-faint">
          no value
        </text>
      )}
      {axis.ticks.map(({ place: at, label }) => (
        <g key={label}>
          <line x1={x - 3} x2={x + 3} y1={y(at)} y2={y(at)} />
          <text x={tickX} y={y(at) + 4} textAnchor={tickAnchor} className="dj-Plot-tick">
            <title>{label}</title>
            {fitted(label, anchor === 'middle' ? Math.min(roomPx, 110) - 20 : SIDE_PX - 12)}
          </text>
        </g>
      ))}
      {span !== undefined && (
        <rect
          className="dj-Plot-range"
          x={x - 7}
          width={14}
          y={Math.min(span[0], span[1]) - 2}
          height={Math.abs(span[0] - span[1]) + 4}
        />
      )}
      <rect
        className="dj-Plot-brush"
        x={x - 12}
        y={TOP_PX - 8}
        width={24}
        height={PLOT_PX + 16}
        onPointerDown={event => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDragged([pointAt(event), pointAt(event)]);
        }}
        onPointerMove={event => dragged !== null && setDragged([dragged[0], pointAt(event)])}
        onPointerUp={finish}
        onPointerCancel={() => setDragged(null)}
      />
    </g>
  );
}
