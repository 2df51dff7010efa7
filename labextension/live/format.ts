/** Numbers in the form that a reader expects; `detjupyter/picture/numbers.py` writes the same forms. */
import type { Scalar } from '../protocol';

/** Return a number as JSON carries it (NaN and the infinities are spelled out) as a number. */
export function toNumber(value: Scalar): number {
  return typeof value === 'number' ? value : Number(value);
}

/** Return `x` with about four significant digits and no exponent for ordinary sizes. */
export function formatValue(x: number): string {
  if (Number.isNaN(x)) {
    return 'NaN';
  }
  if (!Number.isFinite(x)) {
    return x > 0 ? '∞' : '−∞';
  }
  const magnitude = Math.abs(x);
  if (x === 0) {
    return '0';
  }
  if (magnitude < 1e-4 || magnitude >= 1e6) {
    return x.toExponential(2).replace('e+', 'e').replace(/-/g, '−');
  }
  if (Number.isInteger(x)) {
    return String(x).replace('-', '−');
  }
  const decimals = Math.max(0, 3 - Math.floor(Math.log10(magnitude)));
  return x.toFixed(Math.min(decimals, 6)).replace('-', '−');
}

/** Return `x` in as few characters as say it exactly enough for an axis: 0.01, 250, 2.5e−5. */
export function formatTick(x: number): string {
  const magnitude = Math.abs(x);
  const exact = Number(x.toPrecision(6));
  if (x === 0 || (magnitude >= 1e-3 && magnitude < 1e5)) {
    return String(exact).replace('-', '−');
  }
  return exact.toExponential().replace('e+', 'e').replace(/-/g, '−');
}

/** Return a number that is not negative, by default a whole one, with commas between the thousands, as in all messages. */
export function formatCount(n: number, decimals = 0): string {
  return n.toFixed(decimals).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Return `n` bytes in decimal units, as disks and the upload limit count them. */
export function formatBytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let size = n;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 99.5 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** Return a rate with three significant digits: 0.832, 12.5, 1,250. */
export function formatRate(perSecond: number): string {
  return perSecond >= 100 ? formatCount(perSecond) : String(Number(perSecond.toPrecision(3)));
}

/** Return a time span of `s` seconds in its two largest units, with tenths below ten seconds. */
export function formatDuration(s: number): string {
  return s < 10 ? `${Math.max(0, s).toFixed(1)} s` : formatSeconds(Math.round(s));
}

/** Return a time span of `s` whole seconds in its two largest units. */
export function formatSeconds(s: number): string {
  if (!Number.isFinite(s)) {
    return '–';
  }
  const [days, hours] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24];
  const [minutes, seconds] = [Math.floor(s / 60) % 60, s % 60];
  if (days > 0) {
    return `${days} d ${hours} h`;
  }
  if (hours > 0) {
    return `${hours} h ${minutes} min`;
  }
  return minutes > 0 ? `${minutes} min ${seconds} s` : `${seconds} s`;
}
