export { type Facts } from './axis';
export { type Mark } from './marks';
export { type BatchRange, ChartTools, type ToolOptions } from './tools';
