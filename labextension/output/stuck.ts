import type { SessionRecord } from '../protocol';
import { STUCK } from '../live/words';
import { part, setText } from './dom';

/** Says that no batch has ended for a while, and where the training is; empty while batches end. */
export class StuckNotice {
  readonly element = part('div', 'dj-live-stuck');
  readonly #label = document.createElement('strong');
  readonly #details = document.createElement('details');
  readonly #stack = part('pre', 'dj-live-traceback');

  constructor() {
    const summary = document.createElement('summary');
    summary.textContent = STUCK.where;
    this.#label.setAttribute('role', 'status');
    this.#details.append(summary, this.#stack);
    this.element.append(this.#label, this.#details);
    this.show(null);
  }

  /** Follow the session. The stack is another one at every look: it is replaced in place, so that it stays open. */
  show(stuck: SessionRecord['stuck']): void {
    const isStuck = stuck !== null;
    this.element.classList.toggle('dj-mod-stuck', isStuck);
    this.#details.hidden = !isStuck || stuck.trim() === '';
    setText(this.#label, isStuck ? STUCK.label : '');
    setText(this.#stack, stuck?.trimEnd() ?? '');
  }
}
