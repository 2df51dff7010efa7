import type uPlot from 'uplot';

import type { Panel } from '../panel';
import type { Theme } from '../theme';
import { isRaw } from './lines';
import { withoutOutliers } from './outliers';

/** Leaves outliers out of the y range of panels, and says in each how many are cut. */
export class OutlierCuts {
  private readonly cut = new WeakMap<Panel, readonly [below: number, above: number]>();

  /** Return the part of the values to show, given all of those in view. */
  range(panel: Panel, [min, max]: uPlot.Range.MinMax): uPlot.Range.MinMax {
    this.forget(panel);
    if (min === null || max === null) {
      return [min, max];
    }
    const scale = panel.chart?.scales['x'];
    const [from, to] = [scale?.min ?? -Infinity, scale?.max ?? Infinity];
    const values: number[] = [];
    for (const { batches, values: all } of panel.lines.filter(isRaw)) {
      for (let i = 0; i < all.length; i += 1) {
        const value = all[i]!;
        const isInView = batches[i]! >= from && batches[i]! <= to;
        if (isInView && Number.isFinite(value) && value >= min && value <= max) {
          values.push(value);
        }
      }
    }
    const [low, high] = withoutOutliers(values, [min, max]);
    const below = values.filter(value => value < low).length;
    const above = values.filter(value => value > high).length;
    if (below + above > 0) {
      this.cut.set(panel, [below, above]);
    }
    return [low, high];
  }

  forget(panel: Panel): void {
    this.cut.delete(panel);
  }

  draw(panel: Panel, { ctx, bbox }: uPlot, theme: Theme): void {
    const [below, above] = this.cut.get(panel) ?? [0, 0];
    panel.element.dataset['djCut'] = below + above > 0 ? String(below + above) : '';
    const ratio = devicePixelRatio;
    const right = bbox.left + bbox.width - 4 * ratio;
    ctx.save();
    ctx.fillStyle = theme.text;
    ctx.font = `${10 * ratio}px ${theme.font.replace(/^\S+ /, '')}`;
    ctx.textAlign = 'right';
    if (above > 0) {
      ctx.fillText(`↑ ${above} above`, right, bbox.top + 12 * ratio);
    }
    if (below > 0) {
      ctx.fillText(`↓ ${below} below`, right, bbox.top + bbox.height - 4 * ratio);
    }
    ctx.restore();
  }
}
