import type { SessionRecord } from '../protocol';
import { STUCK } from '../live/words';

/** Says that no batch has ended for a while, and where the training is; empty while batches end. */
export class StuckNotice {
  readonly element = document.createElement('div');
  readonly #label = document.createElement('strong');
  readonly #details = document.createElement('details');
  readonly #stack = document.createElement('pre');

  constructor() {
    const summary = document.createElement('summary');
    summary.textContent = STUCK.where;
    this.element.className = 'dj-live-stuck';
    this.#label.setAttribute('role', 'status');
    this.#stack.className = 'dj-live-traceback';
    this.#details.append(summary, this.#stack);
    this.element.append(this.#label, this.#details);
    this.show(null);
  }

  /** Follow the session. The stack is another one at every look: it is replaced in place, so that it stays open. */
  show(stuck: SessionRecord['stuck']): void {
    const isStuck = stuck !== null;
    this.element.classList.toggle('dj-mod-stuck', isStuck);
    this.#details.hidden = !isStuck || stuck.trim() === '';
    const text = isStuck ? STUCK.label : '';
    if (this.#label.textContent !== text) {
      this.#label.textContent = text;
    }
    const stack = stuck?.trimEnd() ?? '';
    if (this.#stack.textContent !== stack) {
      this.#stack.textContent = stack;
    }
  }
}
