export { type ChartPatch } from './curve';
export { formatBytes, formatCount, formatDuration, formatValue, toNumber } from './format';
export { ChartGrid, type ChartOptions } from './grid';
export { injectStyle } from './style';
