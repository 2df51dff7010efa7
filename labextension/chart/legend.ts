import type { Curve } from './curve';
import { formatValue } from '../live/format';
import { lookOf } from './look';
import type { Theme } from './theme';

interface Item {
  element: HTMLElement;
  swatch: HTMLElement;
  label: HTMLElement;
  value: HTMLElement;
}

/**
 * The line under a panel's name: which curve looks how, and its newest value or the one under the cursor.
 *
 * `place` says where the cursor is. It is in the line of the name: in that of the values it would make them wrap.
 */
export class Legend {
  readonly element = document.createElement('div');
  readonly place = span('dj-legend-batch');
  readonly #items = new Map<Curve, Item>();

  constructor() {
    this.element.className = 'dj-legend';
  }

  /** Show the values nearest to `batch`; null: the newest ones. `unit` and `words` say what a place on the x axis is called. */
  show(
    curves: readonly Curve[],
    batch: number | null,
    theme: Theme,
    unit: string,
    words: (x: number) => string
  ): void {
    let readAt: number | null = null;
    if (curves.length !== this.#items.size || curves.some(curve => !this.#items.has(curve))) {
      this.#items.clear();
      this.element.replaceChildren();
    }
    for (const curve of curves) {
      const item = this.#items.get(curve) ?? this.#add(curve);
      const index = batch === null ? curve.length - 1 : curve.nearest(batch);
      const at = index < 0 ? null : curve.batches[index]!;
      readAt ??= at;
      const elsewhere = batch !== null && at !== null && at !== readAt ? ` @ ${words(at)}` : '';
      const { label = curve.group, stroke, dash, alpha } = lookOf(curve, theme);
      setText(item.label, (label as string) + elsewhere);
      item.label.title = label as string;
      item.element.hidden = label === '';
      setText(item.value, index < 0 ? '–' : formatValue(curve.values[index]!));
      item.swatch.style.cssText = `--dj-swatch:${stroke};--dj-dash:${stops(dash)};opacity:${alpha ?? 1}`;
    }
    setText(this.place, batch !== null && readAt !== null ? `${unit} ${words(readAt)}` : '');
  }

  /** Put the item of the curve at `index`, from 1, first; null: all are in their places. */
  focus(index: number | null): void {
    let at = 0;
    for (const { element } of this.#items.values()) {
      element.classList.toggle('dj-mod-focused', (at += 1) === index);
    }
  }

  #add(curve: Curve): Item {
    const item: Item = {
      element: span('dj-legend-item'),
      swatch: span(curve.group === 'validation' ? 'dj-swatch dj-mod-points' : 'dj-swatch'),
      label: span('dj-legend-label'),
      value: span('dj-legend-value')
    };
    item.element.title = curve.name;
    item.element.append(item.swatch, item.label, ' ', item.value);
    this.element.append(item.element);
    this.#items.set(curve, item);
    return item;
  }
}

/** Return the stops of a gradient that repeats a dash: lengths of strokes and gaps in turns. */
export function stops(dash: readonly number[]): string {
  let at = 0;
  return (dash.length > 0 ? dash : [1])
    .map((px, index) => `${index % 2 ? '#0000' : 'var(--dj-swatch)'} ${at}px ${(at += px)}px`)
    .join();
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
