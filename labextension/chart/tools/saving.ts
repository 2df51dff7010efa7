import type { Curve } from '../curve';
import type { Panel } from '../panel';
import { readTheme } from '../theme';
import { download, fileName, pngOf, svgOf } from './picture';
import { csvOf } from './table';

/** Offer a panel as it is now to the user as a file. */
export async function savePicture(panel: Panel, host: HTMLElement, kind: 'png' | 'svg'): Promise<void> {
  const theme = readTheme(host);
  const svg = svgOf(panel, theme, theme.dark ? '#111111' : '#ffffff');
  if (svg !== null) {
    download(
      fileName(panel.name, kind),
      kind === 'png' ? await pngOf(svg) : new Blob([svg.outerHTML], { type: 'image/svg+xml' })
    );
  }
}

/** Offer curves to the user as a file for a spreadsheet. */
export function saveValues(panel: Panel, curves: readonly Curve[], nameOf: (curve: Curve) => string): void {
  download(fileName(panel.name, 'csv'), new Blob([csvOf('batch', curves, nameOf)], { type: 'text/csv' }));
}
