/** The buttons of a live view: which commands they send, and when. */
import type { CommandKind, SessionRecord } from '../protocol';
import { BUTTONS } from '../protocol';

/**
 * The buttons, left to right, each with the commands that it can send.
 *
 * Reload is not among them: the panel offers it where it says that the code has changed. Force Close is offered where no batch ends.
 */
export const LIVE_BUTTONS = [
  ['pause', 'resume'],
  ['step'],
  ['stop'],
  ['validate'],
  ['checkpoint']
] as const satisfies readonly (readonly CommandKind[])[];

export type LiveButton = (typeof LIVE_BUTTONS)[number];
export type LiveCommand = LiveButton[number];

/** These take effect at once or not at all: they are over when they are no longer allowed, also while the answer is still on its way. */
const IMMEDIATE: readonly CommandKind[] = ['pause', 'resume', 'stop'];

/** Whether Python says that the command does something now. */
export function allows(allowed: SessionRecord['allowed'], kind: CommandKind): boolean {
  return allowed.includes(kind);
}

/** Return which of its commands a button shows. */
export function commandOf(button: LiveButton, allowed: SessionRecord['allowed']): LiveCommand {
  return button.find(kind => allows(allowed, kind)) ?? button[0];
}

/** Whether a command has already ended although its answer has not arrived. */
export function isOver(kind: CommandKind, allowed: SessionRecord['allowed']): boolean {
  return IMMEDIATE.includes(kind) && !allows(allowed, kind);
}

/** Return the name of the key that sends the command, as people say it and as `aria-keyshortcuts` wants it. */
export function keyName(kind: CommandKind): string {
  const { key } = BUTTONS[kind];
  return key === ' ' ? 'Space' : key.toUpperCase();
}
