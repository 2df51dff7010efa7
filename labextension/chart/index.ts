export { type ChartPatch, Curve } from './curve';
export { ChartGrid, type ChartOptions } from './grid';
