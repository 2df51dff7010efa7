import { formatValue } from '../../live/format';
import { type Curve, join } from '../curve';
import { element } from './dom';
import { isRaw } from './lines';

const MOST_ROWS = 1000;

/** Return the values of curves as text for a spreadsheet: a row for each place on the x axis, empty where a curve has no value. */
export function csvOf(unit: string, curves: readonly Curve[], nameOf: (curve: Curve) => string): string {
  const rows = rowsOf(curves).map(([x, values]) =>
    [x, ...values.map(value => value ?? '')].map(cell => String(cell)).join(',')
  );
  return [[unit, ...curves.map(curve => headOf(curve, nameOf))].map(quoted).join(','), ...rows, ''].join(
    '\r\n'
  );
}

/** Return a table of the newest values, newest first. */
export function tableOf(
  unit: string,
  words: (x: number) => string,
  curves: readonly Curve[],
  nameOf: (curve: Curve) => string
): HTMLElement {
  const rows = rowsOf(curves).reverse();
  const table = element('table', 'dj-values');
  const heads = [unit, ...curves.map(curve => headOf(curve, nameOf))].map(text => {
    const cell = element('th', '', text);
    cell.scope = 'col';
    return cell;
  });
  const lines = rows.slice(0, MOST_ROWS).map(([x, values]) => {
    const cells = values.map(value => element('td', '', value === undefined ? '–' : formatValue(value)));
    const head = element('th', '', words(x));
    head.scope = 'row';
    return element('tr', '', head, ...cells);
  });
  table.append(element('thead', '', element('tr', '', ...heads)), element('tbody', '', ...lines));
  const left = rows.length - lines.length;
  const box = element('div', 'dj-values-box', table);
  box.tabIndex = 0;
  if (left > 0) {
    box.append(element('p', 'dj-values-more', `${left} earlier rows are in the CSV file (Download CSV).`));
  }
  return box;
}

function headOf(curve: Curve, nameOf: (curve: Curve) => string): string {
  return [nameOf(curve), ...(isRaw(curve) ? [] : ['smooth']), curve.name].join(' ');
}

/** Infinities and NaN are kept: only the drawing cannot show them. */
function rowsOf(curves: readonly Curve[]): [number, (number | undefined)[]][] {
  const { xs } = join(curves, false);
  const next = curves.map(() => 0);
  return xs.map(x => [
    x,
    curves.map(({ batches, values }, index) => {
      const at = next[index]!;
      if (batches[at] !== x) {
        return undefined;
      }
      next[index] = at + 1;
      return values[at];
    })
  ]);
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell;
}
