export { type Facts } from './axis';
export { type Mark } from './marks';
export { ChartTools, type ToolOptions } from './tools';
