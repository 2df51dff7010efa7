/** The ranges of the axes as fields, for the keyboard and for exact values. */
import * as React from 'react';

import type { Axis, Filter, Filters } from './axes';

interface RangesProps {
  axes: readonly Axis[];
  filters: Filters;
  onFilter: (id: string, filter: Filter | null) => void;
  children?: React.ReactNode;
}

export function Ranges({ axes, filters, onFilter, children }: RangesProps): JSX.Element {
  return (
    <details className="dj-Details">
      <summary>Axes and ranges</summary>
      <div className="dj-Ranges">
        {children}
        {axes.map(axis =>
          axis.kind === 'category' ? (
            <Categories key={axis.id} axis={axis} filter={filters.get(axis.id)} onFilter={onFilter} />
          ) : (
            <fieldset key={axis.id}>
              <legend>{axis.label}</legend>
              <Bound axis={axis} end="low" filters={filters} onFilter={onFilter} />
              <Bound axis={axis} end="high" filters={filters} onFilter={onFilter} />
            </fieldset>
          )
        )}
      </div>
    </details>
  );
}

interface BoundProps extends Pick<RangesProps, 'filters' | 'onFilter'> {
  axis: Axis;
  end: 'low' | 'high';
}

/** One end of a range; an empty field is that of the axis. */
function Bound({ axis, end, filters, onFilter }: BoundProps): JSX.Element {
  const filter = filters.get(axis.id);
  const range =
    filter?.kind === 'range' ? filter : { kind: 'range' as const, low: axis.low, high: axis.high };
  const isOpen = range[end] === axis[end];
  const shown = isOpen ? '' : String(Number(range[end].toPrecision(4)));
  const [typed, setTyped] = React.useState<string | null>(null);
  const change = (text: string): void => {
    setTyped(text);
    const value = text.trim() === '' ? axis[end] : Number(text);
    if (Number.isFinite(value)) {
      const next = { ...range, [end]: value };
      onFilter(axis.id, next.low === axis.low && next.high === axis.high ? null : next);
    }
  };
  return (
    <label>
      {end === 'low' ? 'from' : 'to'}
      <input
        type="text"
        inputMode="decimal"
        className="dj-Ranges-bound"
        aria-label={`${axis.label} ${end === 'low' ? 'from' : 'to'}`}
        aria-invalid={typed !== null && !Number.isFinite(Number(typed))}
        placeholder={String(Number(axis[end].toPrecision(4)))}
        value={typed ?? shown}
        onChange={event => change(event.target.value)}
        onBlur={() => setTyped(null)}
      />
    </label>
  );
}

interface CategoriesProps {
  axis: Axis;
  filter: Filter | undefined;
  onFilter: RangesProps['onFilter'];
}

function Categories({ axis, filter, onFilter }: CategoriesProps): JSX.Element {
  const all = axis.ticks.map(({ label }) => label);
  const chosen = filter?.kind === 'only' ? filter.texts : all;
  return (
    <fieldset>
      <legend>{axis.label}</legend>
      {all.map(text => (
        <label key={text} title={text}>
          <input
            type="checkbox"
            checked={chosen.includes(text)}
            onChange={event => {
              const texts = all.filter(one => (one === text ? event.target.checked : chosen.includes(one)));
              onFilter(
                axis.id,
                texts.length === all.length || texts.length === 0 ? null : { kind: 'only', texts }
              );
            }}
          />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}
