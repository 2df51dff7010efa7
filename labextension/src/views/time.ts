/** Times in words. */

const STEPS: readonly [number, string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min']
];

/** Return how long ago `epochS` (seconds since 1970) was: `just now`, `3 min ago`, or the date after a week. */
export function formatAgo(epochS: number, nowS: number): string {
  const seconds = nowS - epochS;
  if (seconds > 7 * 86_400) {
    return new Date(epochS * 1000).toLocaleDateString(undefined, {
      day: 'numeric',
      month: 'short',
      year: 'numeric'
    });
  }
  for (const [size, unit] of STEPS) {
    if (seconds >= size) {
      return `${Math.floor(seconds / size)} ${unit} ago`;
    }
  }
  return 'just now';
}

export function formatDate(epochS: number): string {
  return new Date(epochS * 1000).toLocaleString();
}

/** Return the date and the time in few characters, with the year only if it is another one. */
export function formatShortDate(epochS: number, nowS = Date.now() / 1000): string {
  const date = new Date(epochS * 1000);
  const isThisYear = date.getFullYear() === new Date(nowS * 1000).getFullYear();
  return date.toLocaleString(undefined, {
    day: 'numeric',
    month: 'short',
    ...(isThisYear ? { hour: '2-digit', minute: '2-digit', hour12: false } : { year: 'numeric' })
  });
}
