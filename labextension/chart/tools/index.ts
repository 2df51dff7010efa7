export { type Facts } from './axis';
export { type BatchRange, type FetchRange } from './exact';
export { type OtherRuns } from './others';
export { type ChartRun, runLook } from './runs';
export { ChartTools } from './tools';
