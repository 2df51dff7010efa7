import {
  allows,
  commandOf,
  isOver,
  keyName,
  LIVE_BUTTONS,
  type LiveButton,
  type LiveCommand
} from '../live/controls';
import { rove } from '../live/toolbar';
import type { Command, SessionRecord } from '../protocol';
import { BUTTONS } from '../protocol';
import { part, setText } from './dom';

const ICONS: Readonly<Record<LiveCommand, string>> = {
  resume: 'M4 2.5v11l9-5.5z',
  pause: 'M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z',
  step: 'M2.5 2.5v11l7.5-5.5zM11 2.5h2.5v11h-2.5z',
  stop: 'M3 3h10v10h-10z',
  validate: 'M6.2 13 1.8 8.6l1.6-1.6 2.8 2.8 6.4-6.4 1.6 1.6z',
  checkpoint: 'M2.5 2.5h9l2 2v9h-11zM5 2.5h5v3.5h-5zM5 9h6v4.5h-6z'
};
const SVG = 'http://www.w3.org/2000/svg';

type Allowed = SessionRecord['allowed'];

interface Control {
  button: LiveButton;
  command: LiveCommand;
  /** The id of the command that is not answered yet. */
  pending: number | null;
  element: HTMLButtonElement;
  icon: SVGPathElement;
  label: HTMLElement;
}

/** The row of buttons, and the keys that press them while the widget has the focus. */
export class Controls {
  readonly element = part('div', 'dj-live-controls');
  readonly #controls: readonly Control[];
  readonly #send: (command: Command) => number;
  #allowed: Allowed = [];
  #isNeeded = false;

  /**
   * @param root - The widget: takes the keys.
   * @param send - Sends a command and returns its id.
   */
  constructor(root: HTMLElement, send: (command: Command) => number, signal: AbortSignal) {
    this.#send = send;
    this.element.setAttribute('role', 'toolbar');
    this.element.setAttribute('aria-label', 'Training');
    this.#controls = LIVE_BUTTONS.map(button => this.#control(button, signal));
    this.element.append(...this.#controls.map(({ element }) => element));
    rove(this.element, signal);
    root.addEventListener('keydown', event => this.#key(event), { signal });
    this.show([]);
  }

  /** Offer the kinds of command that are `allowed`: none while the kernel does not answer, or when the training is over for good. */
  show(allowed: Allowed): void {
    // An old training does not need a row of dead buttons. But what is on the page does not go, or the page would jump.
    this.#isNeeded ||= allowed.length > 0;
    this.element.hidden = !this.#isNeeded;
    this.#allowed = allowed;
    this.#controls.forEach(control => this.#refresh(control));
  }

  /** The kernel answered the command `id`; null: it will not answer anymore. */
  answered(id: number | null): void {
    for (const control of this.#controls) {
      if (id === null || control.pending === id) {
        control.pending = null;
        this.#refresh(control);
      }
    }
  }

  #press(control: Control): void {
    if (control.pending === null && allows(this.#allowed, control.command)) {
      control.pending = this.#send({ kind: control.command });
      this.#refresh(control);
    }
  }

  #key(event: KeyboardEvent): void {
    const onButton =
      event.target instanceof Element && event.target.closest('button, summary, a, input') !== null;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || (onButton && event.key === ' ')) {
      return;
    }
    const key = event.key.toLowerCase();
    const control = this.#controls.find(({ command }) => BUTTONS[command].key === key);
    if (control !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      this.#press(control);
    }
  }

  /** Show the button as it is now. It keeps its command while that is pending, so that it does not change under the pointer. */
  #refresh(control: Control): void {
    const { button, element, icon, label } = control;
    if (isOver(control.command, this.#allowed)) {
      control.pending = null;
    }
    const isPending = control.pending !== null;
    if (!isPending) {
      control.command = commandOf(button, this.#allowed);
    }
    const { command } = control;
    const { label: words, pending, title } = BUTTONS[command];
    element.dataset['djCommand'] = command;
    element.title = `${title} (${keyName(command)})`;
    element.setAttribute('aria-disabled', String(!isPending && !allows(this.#allowed, command)));
    element.setAttribute('aria-busy', String(isPending));
    element.setAttribute('aria-keyshortcuts', keyName(command));
    const text = isPending ? pending : words;
    setText(label, text);
    if (icon.getAttribute('d') !== ICONS[command]) {
      icon.setAttribute('d', ICONS[command]);
    }
  }

  #control(button: LiveButton, signal: AbortSignal): Control {
    const element = part('button', 'dj-live-button');
    element.type = 'button';
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 16 16');
    svg.setAttribute('aria-hidden', 'true');
    const icon = document.createElementNS(SVG, 'path');
    icon.setAttribute('fill-rule', 'evenodd');
    svg.append(icon);
    const label = document.createElement('span');
    element.append(svg, label);
    const control: Control = { button, command: button[0], pending: null, element, icon, label };
    element.addEventListener('click', () => this.#press(control), { signal });
    return control;
  }
}
