/** What hyperparameters have to do with what came out: parallel coordinates, a scatter plot, and both as a table. */
import * as React from 'react';

import { formatCount, formatValue } from '../../live/format';
import type { ComparedAxis } from '../../protocol';
import type { Axis, Filter, Filters } from './axes';
import { axisOf, colorAt, isIn } from './axes';
import { Parallel } from './parallel';
import { Ranges } from './ranges';
import { Scatter } from './scatter';

/** So many hyperparameters are axes until others are chosen. */
const AT_FIRST = 7;
/** With fewer runs a table says the same. */
const FEWEST = 3;
const OPEN_FROM = 10;
const FEWEST_COMPARED = 2;

interface ExploreProps {
  axes: readonly ComparedAxis[];
  names: readonly string[];
  isDark: boolean;
  /** Compare only those of the runs, by their places. */
  onCompare: (runs: readonly number[]) => void;
}

export function Explore({ axes: found, names, isDark, onCompare }: ExploreProps): JSX.Element | null {
  const all = React.useMemo(() => found.map(axisOf), [found]);
  const hyperparameters = all.filter(({ isMetric }) => !isMetric);
  const metrics = all.filter(({ isMetric, low, high }) => isMetric && low <= high);
  const [chosen, setChosen] = React.useState(() => hyperparameters.slice(0, AT_FIRST).map(({ id }) => id));
  const [metricId, setMetric] = React.useState(metrics[0]?.id);
  const [xId, setX] = React.useState(() => (hyperparameters.find(isNumeric) ?? hyperparameters[0])?.id);
  const [filters, setFilters] = React.useState<Filters>(new Map());
  const [active, setActive] = React.useState<number | null>(null);
  const metric = metrics.find(({ id }) => id === metricId);
  const x = hyperparameters.find(({ id }) => id === xId);
  if (names.length < FEWEST || metric === undefined || x === undefined) {
    return null;
  }
  const axes = [...hyperparameters.filter(({ id }) => chosen.includes(id)), metric];
  const isShown = names.map((_, run) => isIn(run, axes, filters));
  const shown = names.flatMap((_, run) => (isShown[run] ? [run] : []));
  const filter = (id: string, next: Filter | null): void => {
    const changed = new Map(filters);
    if (next === null) {
      changed.delete(id);
    } else {
      changed.set(id, next);
    }
    setFilters(changed);
  };
  const plot = {
    names,
    colors: metric.places.map(place => colorAt(place, isDark)),
    isShown,
    active,
    onActive: setActive
  };
  return (
    <details className="dj-Details dj-Comparison-part dj-Explore" open={names.length >= OPEN_FROM}>
      <summary>Hyperparameters and metrics</summary>
      <div className="dj-Explore-tools">
        <Choice label="Metric" axes={metrics} value={metric.id} onChange={setMetric} />
        <Legend metric={metric} isDark={isDark} />
        <span className="dj-Explore-count" role="status">
          {shown.length === names.length
            ? `${formatCount(names.length)} runs`
            : `${formatCount(shown.length)} of ${formatCount(names.length)} runs`}
        </span>
        {shown.length < names.length && (
          <>
            <button
              type="button"
              className="dj-TextButton dj-mod-small"
              onClick={() => setFilters(new Map())}
            >
              All runs again
            </button>
            <button
              type="button"
              className="dj-TextButton dj-mod-small"
              disabled={shown.length < FEWEST_COMPARED}
              title="Compare only the runs that are in the ranges"
              onClick={() => onCompare(shown)}
            >
              Compare these
            </button>
          </>
        )}
      </div>
      <p className="dj-Explore-active" role="status">
        {active === null ? (
          <span className="dj-faint">Drag along an axis to keep the runs in a range; a click keeps all.</span>
        ) : (
          <>
            <b>{names[active]}</b>
            {axes.map(({ id, label, texts }) => (
              <span key={id}>
                {label} {texts[active] || '–'}
              </span>
            ))}
          </>
        )}
      </p>
      <Parallel {...plot} axes={axes} filters={filters} onFilter={filter} />
      <Ranges axes={axes} filters={filters} onFilter={filter}>
        {hyperparameters.length > 1 && (
          <fieldset>
            <legend>Axes</legend>
            {hyperparameters.map(({ id, label }) => (
              <label key={id}>
                <input
                  type="checkbox"
                  checked={chosen.includes(id)}
                  onChange={event => {
                    filter(id, null);
                    setChosen(event.target.checked ? [...chosen, id] : chosen.filter(one => one !== id));
                  }}
                />
                {label}
              </label>
            ))}
          </fieldset>
        )}
      </Ranges>
      <div className="dj-Explore-tools">
        <Choice label="Hyperparameter" axes={hyperparameters} value={x.id} onChange={setX} />
        <span className="dj-faint">against {metric.label}</span>
      </div>
      <Scatter {...plot} x={x} y={metric} />
      <details className="dj-Details">
        <summary>The values as a table</summary>
        <ValueTable axes={axes} names={names} runs={shown} />
      </details>
    </details>
  );
}

interface ChoiceProps {
  label: string;
  axes: readonly Axis[];
  value: string;
  onChange: (id: string) => void;
}

function Choice({ label, axes, value, onChange }: ChoiceProps): JSX.Element {
  return (
    <label className="dj-Explore-choice">
      {label}
      <select className="dj-Select" value={value} onChange={event => onChange(event.target.value)}>
        {axes.map(axis => (
          <option key={axis.id} value={axis.id}>
            {axis.label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The colors of the metric, from its smallest to its largest value. */
function Legend({ metric, isDark }: { metric: Axis; isDark: boolean }): JSX.Element {
  const colors = [0, 0.25, 0.5, 0.75, 1].map(place => colorAt(place, isDark));
  const [first, last] = [metric.low, metric.high].map(formatValue);
  return (
    <span className="dj-Explore-legend" aria-label={`Colors: ${metric.label} from ${first} to ${last}`}>
      {first}
      <span style={{ background: `linear-gradient(to right, ${colors.join(', ')})` }} />
      {last}
    </span>
  );
}

interface ValueTableProps {
  axes: readonly Axis[];
  names: readonly string[];
  runs: readonly number[];
}

function ValueTable({ axes, names, runs }: ValueTableProps): JSX.Element {
  return (
    <div className="dj-Comparison-scroll" tabIndex={0} role="region" aria-label="Values of the runs">
      <table className="dj-Compared">
        <thead>
          <tr>
            <th scope="col">Run</th>
            {axes.map(({ id, label }) => (
              <th key={id} scope="col" title={label}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {runs.map(run => (
            <tr key={run}>
              <th scope="row" title={names[run]}>
                {names[run]}
              </th>
              {axes.map(({ id, texts }) => (
                <td key={id} title={texts[run] || undefined}>
                  {texts[run] || '–'}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function isNumeric({ kind }: Axis): boolean {
  return kind !== 'category';
}
