"""The sessions of this process, by name; the newest is the current one."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from detjupyter.errors import NoSessionError, SessionBusyError
from detjupyter.protocol.states import State

if TYPE_CHECKING:
    from detjupyter.protocol.commands import Command
    from detjupyter.protocol.records import SessionRecord
    from detjupyter.training.channel import Channel
    from detjupyter.training.session import Session

_LOAD_HINT = "Load a model definition first: `%det_load model_def:MyTrial`."


class Shown(Protocol):
    """What a person can look at while it trains."""

    @property
    def channel(self) -> Channel:
        """What a view reads."""


class Steered(Protocol):
    """What can be asked for something from afar: a session, or a script that reports."""

    @property
    def session_id(self) -> str:
        """Its name."""

    def record(self) -> SessionRecord:
        """Return how it stands."""

    def send(self, command: Command) -> Future[Any]:
        """Ask for ``command``."""


class Registry:
    """Names for sessions; a session that is replaced or forgotten lives on only where somebody holds it.

    Attributes:
        kernel_id: The Jupyter kernel that this process is, None outside of one; the history shows it.
        show: Shows a session that trains where the person is looking; does nothing where nobody looks.

    Thread: any.
    """

    def __init__(self) -> None:
        self.kernel_id: str | None = None
        self.show: Callable[[Shown], object] = lambda _: None
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._scripts: dict[str, Steered] = {}

    def free_name(self, wanted: str) -> str:
        """Return ``wanted``, or the first of ``wanted-2``, ``wanted-3``, … that no session has."""
        name, count = wanted, 1
        while name in self._sessions or name in self._scripts:
            count += 1
            name = f"{wanted}-{count}"
        return name

    def require_replaceable(self, name: str) -> None:
        """Refuse to load over a training that is under way.

        Raises:
            SessionBusyError: the session ``name`` is running or paused.
        """
        session = self._sessions.get(name)
        if session is not None and session.is_busy:
            raise SessionBusyError(
                f"The session {name!r} is {session.state}, at batch {session.batches_trained:,}.",
                state=session.state,
                hint="`%det_stop` ends its training; `%det_load … --name other` loads a second session beside it.",
            )

    def add(self, session: Session) -> Session | None:
        """Make ``session`` the current one; return the one of the same name whose place it takes, which is then to be closed."""
        with self._lock:
            replaced = self._sessions.pop(session.session_id, None)
            self._sessions[session.session_id] = session
        return replaced

    def forget(self, session: Session) -> None:
        """Drop ``session`` if it is here."""
        with self._lock:
            if self._sessions.get(session.session_id) is session:
                del self._sessions[session.session_id]

    def all(self) -> list[Session]:
        """Return the sessions, the current one last."""
        with self._lock:
            return list(self._sessions.values())

    def get(self, session_id: str | None) -> Session:
        """Return the session of that name, the current one for None.

        Raises:
            NoSessionError: there is none.
        """
        with self._lock:
            if session_id is None:
                if not self._sessions:
                    raise NoSessionError("Nothing is loaded.", hint=_LOAD_HINT)
                return next(reversed(self._sessions.values()))
            if session_id not in self._sessions:
                there = ", ".join(self._sessions) or "none"
                raise NoSessionError(f"There is no session {session_id!r}.", hint=f"Sessions here: {there}.")
            return self._sessions[session_id]

    def add_script(self, script: Steered) -> None:
        """Have a script that trains by itself, and reports, be seen and asked to stop from afar."""
        with self._lock:
            self._scripts[script.session_id] = script

    def forget_script(self, script: Steered) -> None:
        """Drop ``script`` if it is here."""
        with self._lock:
            if self._scripts.get(script.session_id) is script:
                del self._scripts[script.session_id]

    def scripts(self) -> list[Steered]:
        """Return the scripts that report at the moment, the newest last."""
        with self._lock:
            return list(self._scripts.values())

    def steered(self, session_id: str | None) -> Steered:
        """Return the script or the session of that name; for None the newest script, or else the current session.

        Raises:
            NoSessionError: there is none.
        """
        with self._lock:
            name = next(reversed(self._scripts), None) if session_id is None else session_id
            script = None if name is None else self._scripts.get(name)
        return script or self.get(session_id)

    def close_all(self) -> None:
        """Write down what is under way as interrupted and join the threads: the process ends."""
        for session in self.all():
            session.close(State.INTERRUPTED)


registry = Registry()
atexit.register(registry.close_all)
