import type { Curve } from './curve';
import { formatCount, formatValue } from '../live/format';
import type { Theme } from './theme';

interface Item {
  element: HTMLElement;
  label: HTMLElement;
  value: HTMLElement;
}

/** The line under a panel's name: which curve has which color, and its newest value or the one under the cursor. */
export class Legend {
  readonly element = document.createElement('div');
  private readonly batch = span('dj-legend-batch');
  private readonly items = new Map<Curve, Item>();

  constructor() {
    this.element.className = 'dj-legend';
    this.element.append(this.batch);
  }

  /** Show the values nearest to `batch`; null: the newest ones. */
  show(curves: readonly Curve[], batch: number | null, theme: Theme): void {
    let readAt: number | null = null;
    for (const curve of curves) {
      const item = this.items.get(curve) ?? this.add(curve);
      const index = batch === null ? curve.length - 1 : curve.nearest(batch);
      const at = index < 0 ? null : curve.batches[index]!;
      readAt ??= at;
      const elsewhere = batch !== null && at !== null && at !== readAt ? ` @ ${formatCount(at)}` : '';
      setText(item.label, curve.group + elsewhere);
      setText(item.value, index < 0 ? '–' : formatValue(curve.values[index]!));
      item.element.style.setProperty('--dj-swatch', theme[curve.group]);
    }
    setText(this.batch, batch !== null && readAt !== null ? `batch ${formatCount(readAt)}` : '');
  }

  private add(curve: Curve): Item {
    const item: Item = {
      element: span('dj-legend-item'),
      label: span('dj-legend-label'),
      value: span('dj-legend-value')
    };
    const swatch = span(curve.group === 'validation' ? 'dj-swatch dj-mod-points' : 'dj-swatch');
    item.element.title = curve.name;
    item.element.append(swatch, item.label, ' ', item.value);
    if (curve.group === 'training') {
      this.element.prepend(item.element);
    } else {
      this.batch.before(item.element);
    }
    this.items.set(curve, item);
    return item;
  }
}

function span(className: string): HTMLElement {
  const element = document.createElement('span');
  element.className = className;
  return element;
}

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}
