// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from 'vitest';

import { rove } from '../live/toolbar';
import type { Command } from '../protocol';
import { Controls } from '../output/controls';

function press(key: string, target: Element = document.activeElement!): KeyboardEvent {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}

beforeEach(() => document.body.replaceChildren());

describe('a toolbar', () => {
  let listeners: AbortController;
  let buttons: HTMLButtonElement[];

  beforeEach(() => {
    listeners = new AbortController();
    const toolbar = document.createElement('div');
    buttons = ['a', 'b', 'c'].map(() => document.createElement('button'));
    toolbar.append(...buttons);
    document.body.append(toolbar);
    rove(toolbar, listeners.signal);
  });

  const stops = (): number[] => buttons.map(({ tabIndex }) => tabIndex);
  const focused = (): number => buttons.findIndex(button => button === document.activeElement);

  it('is one stop of the Tab key', () => {
    expect(stops()).toEqual([0, -1, -1]);
  });

  it('is walked through with the arrow keys, Home and End, around its ends, and stops where it was left', () => {
    buttons[0]!.focus();
    const walked = ['ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft', 'Home', 'End'].map(key => {
      expect(press(key).defaultPrevented).toBe(true);
      return focused();
    });
    expect(walked).toEqual([1, 2, 0, 2, 0, 2]);
    expect(stops()).toEqual([-1, -1, 0]);
  });

  it('stops at the button that was clicked', () => {
    buttons[1]!.focus();
    expect(stops()).toEqual([-1, 0, -1]);
  });

  it('leaves other keys, and those with a modifier, to other listeners', () => {
    buttons[0]!.focus();
    expect(press('x').defaultPrevented).toBe(false);
    buttons[0]!.dispatchEvent(
      new KeyboardEvent('keydown', { key: 'ArrowRight', ctrlKey: true, bubbles: true })
    );
    expect(focused()).toBe(0);
  });
});

describe('the buttons of the live view', () => {
  let root: HTMLElement;
  let sent: Command[];
  let controls: Controls;

  beforeEach(() => {
    root = document.createElement('div');
    root.tabIndex = 0;
    document.body.append(root);
    sent = [];
    controls = new Controls(root, command => sent.push(command), new AbortController().signal);
    root.append(controls.element);
  });

  const button = (kind: string): HTMLButtonElement => root.querySelector(`[data-dj-command="${kind}"]`)!;
  const kinds = (): string[] => sent.map(({ kind }) => kind);

  it('send what is allowed, once until it is answered', () => {
    controls.show(['validate']);
    button('validate').click();
    button('validate').click();
    expect([kinds(), button('validate').textContent]).toEqual([['validate'], 'Validating…']);
    controls.answered(1);
    expect(button('validate').textContent).toBe('Validate');
    button('validate').click();
    expect(kinds()).toEqual(['validate', 'validate']);
  });

  it('that are off send nothing, and keep the focus', () => {
    controls.show(['stop']);
    button('stop').focus();
    controls.show([]);
    expect(button('stop').getAttribute('aria-disabled')).toBe('true');
    button('stop').click();
    press('x', root);
    expect([kinds(), document.activeElement === button('stop')]).toEqual([[], true]);
  });

  it('turn Pause into Resume as soon as it has had its effect, answered or not', () => {
    controls.show(['pause']);
    button('pause').click();
    expect(button('pause').textContent).toBe('Pausing…');
    controls.show(['resume']);
    expect(button('resume').textContent).toBe('Resume');
  });

  it('do not change under the pointer while a command is on its way', () => {
    controls.show(['pause']);
    button('pause').click();
    controls.show(['pause', 'stop']);
    expect(button('pause').getAttribute('aria-busy')).toBe('true');
  });

  it('have keys, which a button under the focus does not take twice', () => {
    controls.show(['pause', 'step']);
    press('s', root);
    press(' ', button('step')); // the browser clicks the button itself
    expect(kinds()).toEqual(['step']);
    press(' ', root);
    expect(kinds()).toEqual(['step', 'pause']);
  });

  it('wait no more for a kernel that is gone', () => {
    controls.show(['checkpoint']);
    button('checkpoint').click();
    controls.answered(null);
    controls.show([]);
    expect([button('checkpoint').textContent, button('checkpoint').getAttribute('aria-busy')]).toEqual([
      'Checkpoint',
      'false'
    ]);
  });
});
