/** The colors of the canvas. Blue with vermilion or amber can be distinguished with every kind of color vision. */
export interface Theme {
  dark: boolean;
  text: string;
  grid: string;
  training: string;
  validation: string;
  alarm: string;
  font: string;
}

const LIGHT = { training: '#0072b2', validation: '#d55e00', alarm: '#a8006d' };
const DARK = { training: '#56b4e9', validation: '#f0a63a', alarm: '#ff8ad0' };

/**
 * Read the theme from what `host` looks like now.
 *
 * Whether it is dark follows from its text color, because VS Code and Colab lack JupyterLab's variables.
 * `--dj-training-color`, `--dj-validation-color` and `--dj-alarm-color` override the palette.
 */
export function readTheme(host: Element): Theme {
  const style = getComputedStyle(host);
  const [r, g, b] = (style.color.match(/[\d.]+/g) ?? ['0', '0', '0']).map(Number) as [number, number, number];
  const dark = 0.299 * r + 0.587 * g + 0.114 * b > 140;
  const palette = dark ? DARK : LIGHT;
  const own = (name: keyof typeof LIGHT): string =>
    style.getPropertyValue(`--dj-${name}-color`).trim() || palette[name];
  return {
    dark,
    text: `rgba(${r}, ${g}, ${b}, 0.72)`,
    grid: `rgba(${r}, ${g}, ${b}, 0.12)`,
    training: own('training'),
    validation: own('validation'),
    alarm: own('alarm'),
    font: `11px ${style.fontFamily}`
  };
}

/** Call `changed` whenever the page's theme may have changed, until `signal` aborts. */
export function watchTheme(changed: () => void, signal: AbortSignal): void {
  const observer = new MutationObserver(changed);
  const attributes = [
    'class',
    'style',
    'theme',
    'data-jp-theme-name',
    'data-jp-theme-light',
    'data-vscode-theme-id'
  ];
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter: attributes });
  }
  for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) {
    matchMedia(query).addEventListener('change', changed, { signal });
  }
  signal.addEventListener('abort', () => observer.disconnect(), { once: true });
}
