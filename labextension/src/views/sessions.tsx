/** The sessions that a kernel holds, if there are several: the state and progress of each; a click shows one in the panel. */
import * as React from 'react';

import { factsOf } from '../../live/progress';
import { STATE_WORDS } from '../../live/words';
import type { SessionRecord } from '../../protocol';
import type { SessionModel } from '../model/session';
import { Middle, StateBadge } from './state';

export function Sessions({ model }: { model: SessionModel }): JSX.Element | null {
  const { sessions, current } = model;
  if (sessions.length < 2) {
    return null;
  }
  return (
    <ul className="dj-Sessions" aria-label="Sessions of this kernel">
      {sessions.map(session => (
        <li key={session.session_id}>
          <SessionButton
            session={session}
            isShown={session.session_id === current?.session.session_id}
            onClick={() => model.show(session.session_id)}
          />
        </li>
      ))}
    </ul>
  );
}

interface SessionButtonProps {
  session: SessionRecord;
  isShown: boolean;
  onClick: () => void;
}

function SessionButton({ session, isShown, onClick }: SessionButtonProps): JSX.Element {
  const { session_id, entrypoint, state } = session;
  const facts = factsOf(session);
  const progress =
    facts.find(({ name }) => name === 'percent') ?? facts.find(({ name }) => name === 'batches');
  const title = [`${session_id}: ${entrypoint}`, STATE_WORDS[state], ...facts.map(({ text }) => text)];
  return (
    <button
      type="button"
      className="dj-Session"
      data-session={session_id}
      aria-current={isShown}
      title={title.join('\n')}
      onClick={onClick}
    >
      <StateBadge state={state} />
      <Middle text={session_id} />
      <span className="dj-Session-progress">{progress?.text}</span>
    </button>
  );
}
