/** What a section shows when it has no content, and the small parts that the sections share. */
import type { LabIcon } from '@jupyterlab/ui-components';
import { classes } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { State } from '../../protocol';
import { STATE_WORDS } from '../../live/words';
import { AnswerError } from '../errors';

/** Nothing is there yet; the children say what to do next. */
export function Empty({ title, children }: React.PropsWithChildren<{ title: string }>): JSX.Element {
  return (
    <div className="dj-Empty">
      <div className="dj-Empty-title">{title}</div>
      {children}
    </div>
  );
}

/** Lines for a cell, to be read and copied. */
export function Code({ children }: { children: string }): JSX.Element {
  return <pre className="dj-Code">{children}</pre>;
}

/** A failure: why, what to do, and a button that tries again. */
export function Failure({ error, onRetry }: { error: Error; onRetry: () => void }): JSX.Element {
  return (
    <div className="dj-Failure" role="alert">
      <Message error={error} />
      <button type="button" className="dj-TextButton" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}

/** An error's message and hint. */
export function Message({ error }: { error: Error }): JSX.Element {
  const hint = error instanceof AnswerError ? error.hint : null;
  return (
    <div className="dj-Message">
      <div className="dj-Message-text">{withCode(error.message)}</div>
      {hint !== null && <div className="dj-Message-hint">{withCode(hint)}</div>}
    </div>
  );
}

/** Return text in which what is between backticks is code. */
export function withCode(text: string): React.ReactNode {
  return text.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}

/** So many last characters stay where a name is cut. */
const END = 8;

/** Text on one line that is cut in its middle where it does not fit, because names often differ at their end. Its parent has the tooltip. */
export function Middle({ text, end = END }: { text: string; end?: number }): JSX.Element {
  const characters = [...text];
  if (characters.length <= end + END) {
    return <span className="dj-Middle-start">{text}</span>;
  }
  return (
    <span className="dj-Middle">
      <span className="dj-Middle-start">{characters.slice(0, -end).join('')}</span>
      <span className="dj-Middle-end">{characters.slice(-end).join('')}</span>
    </span>
  );
}

export function Loading(): JSX.Element {
  return (
    <div className="dj-Loading" role="status">
      Loading…
    </div>
  );
}

/** A colored dot and the state's word. */
export function StateBadge({ state }: { state: State }): JSX.Element {
  return (
    <span className={classes('dj-State', `dj-mod-${state}`)} data-state={state}>
      <span className="dj-State-dot" aria-hidden="true" />
      <span className="dj-State-text">{STATE_WORDS[state]}</span>
    </span>
  );
}

interface IconButtonProps {
  icon: LabIcon;
  label: string;
  /** The tooltip, where it says more than the label. */
  title?: string;
  /** Whether the label is shown next to the icon where there is room. */
  labelled?: boolean;
  className?: string;
  disabled?: boolean;
  /** For a button that stays pressed until it is clicked again. */
  pressed?: boolean;
  onClick: () => void;
}

/** A button with an icon. When disabled it keeps the focus: its state may change under the user's finger. */
export function IconButton(props: IconButtonProps): JSX.Element {
  const { label, title, labelled, className, disabled, pressed, onClick } = props;
  return (
    <button
      type="button"
      className={classes('dj-IconButton', className ?? '')}
      aria-label={label}
      aria-disabled={disabled ?? false}
      aria-pressed={pressed}
      title={title ?? label}
      onClick={() => disabled || onClick()}
    >
      <props.icon.react tag="span" className="dj-IconButton-icon" />
      {labelled && <span className="dj-IconButton-text">{label}</span>}
    </button>
  );
}

/** A list of names and values. */
export function Facts({ children }: React.PropsWithChildren): JSX.Element {
  return <dl className="dj-Facts">{children}</dl>;
}

interface FactProps {
  name: string;
  title?: string;
  /** Whether a value that does not fit on a line is continued on the next one, instead of being cut. */
  wraps?: boolean;
}

export function Fact({ name, title, wraps, children }: React.PropsWithChildren<FactProps>): JSX.Element {
  const text = title ?? (typeof children === 'string' ? children : undefined);
  return (
    <>
      <dt title={name}>{name}</dt>
      <dd className={wraps ? 'dj-mod-wraps' : undefined} title={text}>
        {children}
      </dd>
    </>
  );
}
