import type uPlot from 'uplot';

import { metricName } from '../names';
import { type Look, lookOf } from '../look';
import { type Panel, POINT_ROOM_PX } from '../panel';
import type { Theme } from '../theme';

const SVG = 'http://www.w3.org/2000/svg';
const NAME_PX = 22;
const LEGEND_PX = 17;
const FONT = 'system-ui, sans-serif';

type Attributes = Readonly<Record<string, string | number>>;

/** Return a panel as it is now as a vector picture: its name, its legend, both axes and the curves. Null if it was not drawn yet. */
export function svgOf(panel: Panel, theme: Theme, background: string): SVGSVGElement | null {
  const { chart } = panel;
  if (chart === null) {
    return null;
  }
  const { width, height } = chart;
  const svg = shape('svg', {});
  svg.append(
    shape('title', {}, panel.name),
    shape('rect', { width: '100%', height: '100%', fill: background }),
    text(8, 16, panel.name, theme.text, { 'font-weight': 600, 'font-size': 13 })
  );
  let [left, top] = [8, NAME_PX];
  for (const curve of panel.lines) {
    const { label: named, stroke, dash, alpha } = lookOf(curve, theme);
    const label = typeof named === 'string' ? named : curve.group;
    if (label === '') {
      continue;
    }
    const item = 36 + 6.5 * label.length;
    if (left > 8 && left + item > width) {
      [left, top] = [8, top + LEGEND_PX];
    }
    const y = top + LEGEND_PX / 2;
    const line = { x1: left, x2: left + 18, y1: y, y2: y, stroke, opacity: alpha ?? 1, 'stroke-width': 2 };
    svg.append(
      shape('line', { ...line, 'stroke-dasharray': dash.join(' ') }),
      ...(curve.group === 'validation' ? [shape('circle', { cx: left + 9, cy: y, r: 3, fill: stroke })] : []),
      text(left + 23, y + 4, label, theme.text)
    );
    left += item;
  }
  const above = top + LEGEND_PX + 4;
  svg.append(plot(panel, chart, theme, above));
  const size = { xmlns: SVG, width, height: height + above, viewBox: `0 0 ${width} ${height + above}` };
  setAll(svg, size);
  return svg as SVGSVGElement;
}

/** Return the picture as a PNG of twice the size, which is sharp in print. */
export async function pngOf(svg: SVGSVGElement): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg.outerHTML)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob(blob =>
      blob === null ? reject(new Error('The browser could not make a picture.')) : resolve(blob)
    );
  });
}

/** Offer `content` to the user as a file. */
export function download(name: string, content: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser has begun to read it then; it says nothing when it has ended.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Return a name for the file of a metric: `group/val_loss` is `group-loss`. */
export function fileName(metric: string, extension: string): string {
  return `${
    metricName(metric)
      .replace(/[^\p{L}\p{N}._-]+/gu, '-')
      .slice(0, 100) || 'metric'
  }.${extension}`;
}

function plot(panel: Panel, chart: uPlot, theme: Theme, above: number): SVGElement {
  const { left, top, width, height } = boxOf(chart);
  const group = shape('g', { transform: `translate(0 ${above})` });
  const clip = `dj-clip-${Math.random().toString(36).slice(2)}`;
  const frame = shape('clipPath', { id: clip });
  frame.append(shape('rect', { x: left, y: top, width, height }));
  group.append(frame);
  const [xAxis, yAxis] = chart.axes as [Drawn, Drawn];
  for (const [index, at] of (xAxis._splits ?? []).entries()) {
    const x = left + chart.valToPos(at, 'x');
    const label = xAxis._values?.[index];
    group.append(shape('line', { x1: x, x2: x, y1: top, y2: top + height, stroke: theme.grid }));
    group.append(text(x, top + height + 15, label ?? '', theme.text, { 'text-anchor': 'middle' }));
  }
  for (const [index, at] of (yAxis._splits ?? []).entries()) {
    const y = top + chart.valToPos(at, 'y');
    const label = yAxis._values?.[index];
    group.append(shape('line', { x1: left, x2: left + width, y1: y, y2: y, stroke: theme.grid }));
    group.append(text(left - 6, y + 4, label ?? '', theme.text, { 'text-anchor': 'end' }));
  }
  const label = typeof xAxis.label === 'string' ? xAxis.label : '';
  group.append(text(left + width / 2, top + height + 31, label, theme.text, { 'text-anchor': 'middle' }));
  const curves = shape('g', { 'clip-path': `url(#${clip})` });
  panel.lines.forEach((curve, index) => curves.append(...curveOf(chart, index, lookOf(curve, theme))));
  group.append(curves);
  return group;
}

function curveOf(chart: uPlot, index: number, { stroke, dash, width, alpha }: Look): SVGElement[] {
  const xs = chart.data[0];
  const ys = chart.data[index + 1]!;
  const { points: dots } = chart.series[index + 1]!;
  const { left, top } = boxOf(chart);
  let path = '';
  let isOn = false;
  const points: SVGElement[] = [];
  for (let i = 0; i < xs.length; i += 1) {
    const y = ys[i];
    if (y === null) {
      isOn = false;
    } else if (y !== undefined) {
      const at = [left + chart.valToPos(xs[i]!, 'x'), top + chart.valToPos(y, 'y')].map(n => n.toFixed(1));
      path += `${isOn ? 'L' : 'M'}${at[0]} ${at[1]}`;
      isOn = true;
      if (dots?.size === 6) {
        points.push(shape('circle', { cx: at[0]!, cy: at[1]!, r: 3, fill: stroke }));
      }
    }
  }
  const look = { fill: 'none', stroke, 'stroke-width': width, opacity: alpha ?? 1 };
  const line = { d: path, 'stroke-dasharray': dash.join(' '), 'stroke-linejoin': 'round', ...look };
  return [shape('path', line), ...(points.length * POINT_ROOM_PX <= boxOf(chart).width ? points : [])];
}

/** What uPlot keeps of an axis that it has drawn. */
type Drawn = uPlot.Axis & { _splits?: readonly number[] | null; _values?: readonly (string | null)[] | null };

function boxOf(chart: uPlot): { left: number; top: number; width: number; height: number } {
  const { left, top, width, height } = chart.bbox;
  const ratio = devicePixelRatio;
  return { left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio };
}

function text(x: number, y: number, content: string, fill: string, more: Attributes = {}): SVGElement {
  return shape('text', { x, y, fill, 'font-family': FONT, 'font-size': 11, ...more }, content);
}

function shape(tag: string, attributes: Attributes, content = ''): SVGElement {
  const made = document.createElementNS(SVG, tag);
  setAll(made, attributes);
  made.textContent = content;
  return made;
}

function setAll(element: SVGElement, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, String(value));
  }
}
