/** uPlot's own rules (the part that these charts use, from its uPlot.min.css) and ours. A string: the bundlers need no CSS loader for it. */
const CSS = `
.dj-chart .uplot, .dj-chart .uplot *, .dj-chart .uplot *::before, .dj-chart .uplot *::after { box-sizing: border-box; }
.dj-chart .uplot { line-height: 1.5; width: min-content; }
.dj-chart .u-wrap { position: relative; user-select: none; }
.dj-chart .u-over, .dj-chart .u-under { position: absolute; }
.dj-chart .u-under { overflow: hidden; }
.dj-chart .uplot canvas { display: block; position: relative; width: 100%; height: 100%; }
.dj-chart .u-axis { position: absolute; }
.dj-chart .u-select { position: absolute; pointer-events: none; background: currentColor; opacity: 0.1; }
.dj-chart .u-cursor-x, .dj-chart .u-cursor-y { position: absolute; left: 0; top: 0; pointer-events: none; will-change: transform; }
.dj-chart .u-hz .u-cursor-x { height: 100%; border-right: 1px dashed currentColor; opacity: 0.5; }
.dj-chart .u-cursor-pt { position: absolute; top: 0; left: 0; border-radius: 50%; border: 0 solid; pointer-events: none;
  will-change: transform; background-clip: padding-box !important; }
.dj-chart .u-off { display: none; }

.dj-chart { display: grid; gap: 12px 16px; min-width: 0; color: var(--jp-ui-font-color1, inherit);
  grid-template-columns: repeat(auto-fit, minmax(max(min(100%, 300px), (100% - 32px) / 3), 1fr));
  font-family: var(--jp-ui-font-family, system-ui, sans-serif); font-size: 12px; line-height: 1.4; }
.dj-chart.dj-mod-compact { gap: 8px 12px; font-size: 11px; }
.dj-panel { min-width: 0; display: flex; flex-direction: column; }
.dj-panel-head { display: flex; align-items: center; gap: 6px; min-height: 22px; }
.dj-panel-name { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; flex: 1 1 auto; min-width: 0; }
.dj-panel-button { flex: none; padding: 0 6px; height: 20px; font: inherit; font-size: 11px; line-height: 18px; cursor: pointer; color: inherit;
  background: transparent; border: 1px solid transparent; border-radius: 3px; opacity: 0.65; }
.dj-panel-button:hover { opacity: 1; border-color: var(--jp-border-color1, rgba(128, 128, 128, 0.5)); }
.dj-panel-button:focus-visible { opacity: 1; outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
.dj-panel-button[aria-pressed='true'] { opacity: 1; border-color: currentColor; }
.dj-panel-button[hidden] { display: none; }
.dj-legend { display: flex; flex-wrap: wrap; gap: 0 12px; min-height: 17px; font-variant-numeric: tabular-nums; }
.dj-legend-item { display: inline-flex; align-items: center; gap: 5px; white-space: nowrap; min-width: 0; }
.dj-legend-label, .dj-legend-batch { opacity: 0.75; }
.dj-legend-value { font-weight: 600; }
.dj-legend-batch { margin-left: auto; }
.dj-swatch { flex: none; width: 14px; height: 0; border-top: 2px solid var(--dj-swatch); position: relative; }
.dj-swatch.dj-mod-points::after { content: ''; position: absolute; left: 4px; top: -4px; width: 6px; height: 6px; border-radius: 50%;
  background: var(--dj-swatch); }
.dj-panel-note { min-height: 0; color: var(--dj-alarm); }
.dj-panel-note:empty { display: none; }
.dj-panel-note::before { content: '▲ '; font-size: 9px; }
.dj-panel-plot { min-width: 0; overflow: hidden; margin-top: auto; }
`;

/** Put the rules of `id` into the document (or the shadow tree) that `host` is in, once. */
export function injectStyle(host: HTMLElement, id: string, css: string): void {
  const root = host.getRootNode();
  const home = root instanceof ShadowRoot ? root : document.head;
  if (home.querySelector(`style[data-dj-style="${id}"]`)) {
    return;
  }
  const style = document.createElement('style');
  style.dataset['djStyle'] = id;
  style.textContent = css;
  home.append(style);
}

export function injectChartStyle(host: HTMLElement): void {
  injectStyle(host, 'chart', CSS);
}
