import { barOf, factsOf } from '../live/progress';
import { formatCount, formatValue, toNumber } from '../live/format';
import type { SessionRecord } from '../protocol';
import { part, setText } from './dom';

/** The bar, and the line below it, which ends with the best value. */
export class ProgressView {
  readonly bar = part('div', 'dj-live-bar');
  readonly line = part('div', 'dj-live-line');
  readonly #facts = part('span', 'dj-live-facts');
  readonly #best = part('span', 'dj-live-fact');

  constructor() {
    this.line.append(this.#facts, this.#best);
    this.bar.hidden = true;
    this.bar.setAttribute('role', 'progressbar');
    this.bar.setAttribute('aria-valuemin', '0');
    this.bar.setAttribute('aria-valuemax', '100');
  }

  show(session: SessionRecord): void {
    const facts = factsOf(session);
    facts.forEach(({ name, text }, index) => {
      const element = this.#facts.children[index] ?? this.#facts.appendChild(document.createElement('span'));
      element.className = 'dj-live-fact';
      element.setAttribute('data-dj-fact', name);
      setText(element, text);
    });
    while (this.#facts.childElementCount > facts.length) {
      this.#facts.lastElementChild?.remove();
    }
    const { best } = session;
    setText(
      this.#best,
      best === null
        ? ''
        : `best ${best.name} ${formatValue(toNumber(best.value))} at batch ${formatCount(best.batches_trained)}`
    );
    const bar = barOf(session);
    this.bar.hidden = bar === null;
    if (bar !== null) {
      this.bar.style.setProperty('--dj-fraction', String(bar.fraction));
      this.bar.setAttribute('aria-label', bar.label);
      this.bar.setAttribute('aria-valuenow', String(Math.floor(100 * bar.fraction)));
      this.bar.setAttribute('aria-valuetext', facts.map(({ text }) => text).join(', '));
    }
  }
}
