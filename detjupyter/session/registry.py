"""The sessions of this process, by name; the newest is the current one."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from detjupyter.errors import NoSessionError, SessionBusyError
from detjupyter.next_step import NextStep
from detjupyter.protocol.origins import Origin, default_origin
from detjupyter.protocol.states import State

if TYPE_CHECKING:
    from pathlib import Path

    from detjupyter.protocol.commands import Command
    from detjupyter.protocol.records import SessionRecord
    from detjupyter.session.channel import Channel
    from detjupyter.session.session import Session

_logger = logging.getLogger("detjupyter")
_LOAD_HINT = f"Load a model definition first: {NextStep.LOAD_CLASS('model_def:MyTrial')}."


class Viewable(Protocol):
    """A training that views can show."""

    @property
    def channel(self) -> Channel:
        """The channel that a view reads."""


class Controllable(Protocol):
    """A training that accepts commands over the control channel: a session, or a script that reports."""

    @property
    def session_id(self) -> str:
        """Its name."""

    def record(self) -> SessionRecord:
        """Return its current state."""

    def send(self, command: Command, origin: Origin | None = None) -> Future[Any]:
        """Send ``command``."""


class Registry:
    """The sessions by name. A session that is replaced or forgotten lives on only if the user still refers to it.

    A session whose name the user did not choose is replaced, too: when it is idle and a later one of the same definition is loaded, the
    registry keeps only a weak reference to it. So a script or a cell that calls ``session = dj.load(…)`` repeatedly does not accumulate
    trials.

    Attributes:
        show: Shows a training session in the current cell; does nothing outside of a notebook.

    Thread: any.
    """

    def __init__(self) -> None:
        self.show: Callable[[Viewable], object] = lambda _: None
        self._lock = threading.RLock()  # a finalizer may end a session in the middle of these methods, in the same thread
        self._sessions: dict[str, Callable[[], Session | None]] = {}  # weak references, or functions that return the session
        self._unnamed: weakref.WeakSet[Session] = weakref.WeakSet()
        self._scripts: dict[str, Controllable] = {}

    def free_name(self, wanted: str) -> str:
        """Return ``wanted``, or the first free one of ``wanted-2``, ``wanted-3`` and so on."""
        name, count = wanted, 1
        taken = self._all()
        while name in taken or name in self._scripts:
            count += 1
            name = f"{wanted}-{count}"
        return name

    def require_replaceable(self, name: str) -> None:
        """Refuse to replace a session that is training.

        Raises:
            SessionBusyError: The session ``name`` is running or paused.
        """
        session = self._all().get(name)
        if session is not None and session.is_busy:
            raise SessionBusyError(
                f"The session {name!r} is {session.state}, at batch {session.batches_trained:,}.",
                state=session.state,
                hint=f"{NextStep.STOP} ends its training; {NextStep.LOAD_AS('other')} loads a second session.",
            )

    def add(self, session: Session, *, is_named: bool = True) -> Session | None:
        """Make ``session`` the current one; return the session of the same name that it replaces, which the caller must close.

        Args:
            session: The new session.
            is_named: Whether the user chose its name.
        """
        earlier = [] if is_named else self._idle_unnamed(session.definition.path)
        with self._lock:
            replaced = self._sessions.pop(session.session_id, lambda: None)()
            for name, held in list(self._sessions.items()):
                if held() is None:
                    self._sessions.pop(name, None)
            for one in earlier:
                if self._all().get(one.session_id) is one:  # not a closed one, whose name can be this session's now
                    self._sessions[one.session_id] = weakref.ref(one)
            self._sessions[session.session_id] = lambda: session
            if not is_named:
                self._unnamed.add(session)
        session.when_closed(self.forget)
        return replaced

    def forget(self, session: Session) -> None:
        """Remove ``session`` if it is registered."""
        with self._lock:
            if self._all().get(session.session_id) is session:
                self._sessions.pop(session.session_id, None)

    def all(self) -> list[Session]:
        """Return the sessions, the current one last."""
        with self._lock:
            return list(self._all().values())

    def get(self, session_id: str | None) -> Session:
        """Return the session of that name, the current one for None.

        Raises:
            NoSessionError: There is none.
        """
        with self._lock:
            sessions = self._all()
        if session_id is None:
            if not sessions:
                raise NoSessionError("Nothing is loaded.", hint=_LOAD_HINT)
            return next(reversed(sessions.values()))
        if session_id not in sessions:
            there = ", ".join(sessions) or "none"
            raise NoSessionError(f"There is no session {session_id!r}.", hint=f"Sessions: {there}.")
        return sessions[session_id]

    def add_script(self, script: Controllable) -> None:
        """Register a script that runs its own training loop and reports, so that views show it and can stop it."""
        with self._lock:
            self._scripts[script.session_id] = script

    def forget_script(self, script: Controllable) -> None:
        """Remove ``script`` if it is registered."""
        with self._lock:
            if self._scripts.get(script.session_id) is script:
                self._scripts.pop(script.session_id, None)

    def scripts(self) -> list[Controllable]:
        """Return the scripts that currently report, the newest last."""
        with self._lock:
            return list(self._scripts.values())

    def controllable(self, session_id: str | None) -> Controllable:
        """Return the script or the session of that name; for None the newest script, or else the current session.

        Raises:
            NoSessionError: There is none.
        """
        with self._lock:
            name = next(reversed(self._scripts), None) if session_id is None else session_id
            script = None if name is None else self._scripts.get(name)
        return script or self.get(session_id)

    def _idle_unnamed(self, path: Path) -> list[Session]:
        return [session for session in self._unnamed if session.definition.path == path and not session.is_busy]

    def _all(self) -> dict[str, Session]:
        """Return the live sessions by name, the current one last."""
        found = {name: reference() for name, reference in list(self._sessions.items())}
        return {name: session for name, session in found.items() if session is not None}

    def close_all(self) -> None:
        """Record running trainings as interrupted and join the threads: the process is ending."""
        for session in self.all():
            if session.state == State.RUNNING and default_origin() is Origin.SCRIPT:
                _logger.warning(
                    "The script has ended, so the training of %r is interrupted at batch %d. session.wait() waits for its end.",
                    session.session_id,
                    session.batches_trained,
                )
            session.close(State.INTERRUPTED, force=session.record().stuck is not None)


registry = Registry()
atexit.register(registry.close_all)
