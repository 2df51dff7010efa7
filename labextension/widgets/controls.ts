import type { Command, State } from '../protocol';

interface Action {
  label: string;
  /** What the button says until the kernel has answered. */
  pending: string;
  title: string;
  command: Command;
  icon: string;
  states: readonly State[];
}

interface Control {
  key: string;
  /** The first whose states hold the session's state is shown; a control with two is a toggle. */
  actions: readonly Action[];
}

const LIVE: readonly State[] = ['running', 'paused'];
const CONTROLS: readonly Control[] = [
  {
    key: ' ',
    actions: [
      {
        label: 'Resume',
        pending: 'Resuming…',
        title: 'Go on with the training (Space)',
        command: { kind: 'resume' },
        icon: 'M4 2.5v11l9-5.5z',
        states: ['paused']
      },
      {
        label: 'Pause',
        pending: 'Pausing…',
        title: 'Hold after the batch under way (Space)',
        command: { kind: 'pause' },
        icon: 'M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z',
        states: ['running']
      }
    ]
  },
  {
    key: 's',
    actions: [
      {
        label: 'Step',
        pending: 'Stepping…',
        title: 'Train one more batch, then pause again (S)',
        command: { kind: 'step', batches: 1 },
        icon: 'M2.5 2.5v11l7.5-5.5zM11 2.5h2.5v11h-2.5z',
        states: ['paused']
      }
    ]
  },
  {
    key: 'x',
    actions: [
      {
        label: 'Stop',
        pending: 'Stopping…',
        title: 'End the training; weights and history stay (X)',
        command: { kind: 'stop' },
        icon: 'M3 3h10v10h-10z',
        states: LIVE
      }
    ]
  },
  {
    key: 'v',
    actions: [
      {
        label: 'Validate',
        pending: 'Validating…',
        title: 'Run the validation now, then go on (V)',
        command: { kind: 'validate' },
        icon: 'M6.2 13 1.8 8.6l1.6-1.6 2.8 2.8 6.4-6.4 1.6 1.6z',
        states: LIVE
      }
    ]
  },
  {
    key: 'c',
    actions: [
      {
        label: 'Checkpoint',
        pending: 'Writing…',
        title: 'Write a checkpoint now, then go on (C)',
        command: { kind: 'checkpoint' },
        icon: 'M2.5 2.5h9l2 2v9h-11zM5 2.5h5v3.5h-5zM5 9h6v4.5h-6z',
        states: LIVE
      }
    ]
  }
];
const SVG = 'http://www.w3.org/2000/svg';

interface Button {
  control: Control;
  element: HTMLButtonElement;
  icon: SVGPathElement;
  label: HTMLElement;
  action: Action;
  pending: number | null;
}

/** The row of buttons, and the keys that press them while the widget has the focus. */
export class Controls {
  readonly element = document.createElement('div');
  private readonly buttons: readonly Button[];
  private state: State = 'ready';
  private enabled = false;

  /**
   * @param root - The widget: takes the keys, and the focus of a button that is switched off.
   * @param send - Sends a command and returns its id.
   */
  constructor(
    private readonly root: HTMLElement,
    private readonly send: (command: Command) => number,
    signal: AbortSignal
  ) {
    this.element.className = 'dj-live-controls';
    this.element.setAttribute('role', 'toolbar');
    this.element.setAttribute('aria-label', 'Training');
    this.buttons = CONTROLS.map(control => this.button(control, signal));
    root.addEventListener('keydown', event => this.key(event), { signal });
    this.show('ready', false);
  }

  /** Follow the session; `enabled` is false while nobody would answer. */
  show(state: State, enabled: boolean): void {
    this.state = state;
    this.enabled = enabled;
    for (const button of this.buttons) {
      this.refresh(button);
    }
  }

  /** The kernel answered the command `id`; null: it will not answer any more. */
  answered(id: number | null): void {
    for (const button of this.buttons) {
      if (id === null || button.pending === id) {
        button.pending = null;
        this.refresh(button);
      }
    }
  }

  private press(button: Button): void {
    if (button.pending === null && this.applies(button)) {
      button.pending = this.send(button.action.command);
      this.refresh(button);
    }
  }

  private applies({ action }: Button): boolean {
    return this.enabled && action.states.includes(this.state);
  }

  private key(event: KeyboardEvent): void {
    const onButton =
      event.target instanceof Element && event.target.closest('button, summary, a, input') !== null;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || (onButton && event.key === ' ')) {
      return;
    }
    const button = this.buttons.find(({ control }) => control.key === event.key.toLowerCase());
    if (button !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      this.press(button);
    }
  }

  /** Show the button as it is now. It keeps its action while one is pending, so that it does not change under the pointer. */
  private refresh(button: Button): void {
    const { element, control } = button;
    if (!button.action.states.includes(this.state)) {
      button.pending = null; // what was asked for has happened, whether the answer is here or not
    }
    if (button.pending === null) {
      button.action =
        control.actions.find(({ states }) => states.includes(this.state)) ?? control.actions.at(-1)!;
    }
    const waiting = button.pending !== null;
    const disabled = !waiting && !this.applies(button);
    if (disabled && element.matches(':focus')) {
      this.root.focus({ preventScroll: true });
    }
    element.disabled = disabled;
    element.dataset['djCommand'] = button.action.command.kind;
    element.title = button.action.title;
    element.setAttribute('aria-busy', String(waiting));
    const text = waiting ? button.action.pending : button.action.label;
    if (button.label.textContent !== text) {
      button.label.textContent = text;
    }
    if (button.icon.getAttribute('d') !== button.action.icon) {
      button.icon.setAttribute('d', button.action.icon);
    }
  }

  private button(control: Control, signal: AbortSignal): Button {
    const element = document.createElement('button');
    element.type = 'button';
    element.className = 'dj-live-button';
    element.setAttribute('aria-keyshortcuts', control.key === ' ' ? 'Space' : control.key.toUpperCase());
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 16 16');
    svg.setAttribute('aria-hidden', 'true');
    const icon = document.createElementNS(SVG, 'path');
    icon.setAttribute('fill-rule', 'evenodd');
    svg.append(icon);
    const label = document.createElement('span');
    element.append(svg, label);
    this.element.append(element);
    const button: Button = { control, element, icon, label, action: control.actions.at(-1)!, pending: null };
    element.addEventListener('click', () => this.press(button), { signal });
    return button;
  }
}
