import { toNumber } from '../live/format';
import type { LogLine } from '../protocol';
import { part } from './dom';

const LINES_SHOWN = 500;
const AT_END_PX = 8;

/** What the trial wrote: the last 500 lines, closed until the user opens it or the training fails. */
export class LogPane {
  readonly element = part('details', 'dj-live-log');
  readonly #summary = document.createElement('summary');
  readonly #lines = part('div', 'dj-live-log-lines');
  #written = 0;

  constructor(signal: AbortSignal) {
    this.#lines.setAttribute('role', 'log');
    this.#lines.setAttribute('aria-live', 'off');
    this.#lines.tabIndex = 0;
    this.element.append(this.#summary, this.#lines);
    this.element.addEventListener('toggle', () => this.#toEnd(), { signal });
    this.#describe();
  }

  clear(): void {
    this.#lines.replaceChildren();
    this.#written = 0;
    this.#describe();
  }

  open(): void {
    this.element.open = true;
  }

  append(lines: readonly LogLine[]): void {
    if (lines.length === 0) {
      return;
    }
    const { scrollTop, scrollHeight, clientHeight } = this.#lines;
    const atEnd = scrollHeight - scrollTop - clientHeight <= AT_END_PX;
    this.#lines.append(...lines.slice(-LINES_SHOWN).map(row));
    while (this.#lines.childElementCount > LINES_SHOWN) {
      this.#lines.firstElementChild?.remove();
    }
    this.#written += lines.length;
    this.#describe();
    if (atEnd) {
      this.#toEnd();
    }
  }

  #toEnd(): void {
    this.#lines.scrollTop = this.#lines.scrollHeight;
  }

  #describe(): void {
    const hidden = this.#written > LINES_SHOWN ? `, the last ${LINES_SHOWN} shown` : '';
    this.#summary.textContent =
      this.#written === 0
        ? 'Log'
        : `Log (${this.#written} ${this.#written === 1 ? 'line' : 'lines'}${hidden})`;
    this.#lines.classList.toggle('dj-mod-empty', this.#written === 0);
  }
}

function row({ at, stream, text }: LogLine): HTMLElement {
  const element = document.createElement('div');
  element.dataset['djStream'] = stream;
  const time = document.createElement('time');
  time.textContent = new Date(1000 * toNumber(at)).toTimeString().slice(0, 8);
  element.append(time, ` ${text}`);
  return element;
}
