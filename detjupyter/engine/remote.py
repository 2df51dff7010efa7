"""An engine at the other end of a connection, as its session sees it."""

from __future__ import annotations

import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from detjupyter.engine.engine import Engine, Publish
from detjupyter.engine.host import EngineHost
from detjupyter.engine.local import JOIN_LIMIT_S, WRITE_LIMIT_S
from detjupyter.engine.refusals import closed
from detjupyter.errors import DetJupyterError, SessionError
from detjupyter.protocol.answers import Answer
from detjupyter.protocol.calls import (
    OPENED,
    CallMessage,
    CancelCommand,
    CloseEngine,
    CloseEngineSoon,
    EngineCall,
    EngineEnded,
    InterruptLoad,
    KillEngine,
    ReadStack,
)
from detjupyter.protocol.commands import CommandMessage, require_command
from detjupyter.protocol.events import Event, Logged, StateChanged
from detjupyter.protocol.frames import pack, unpack
from detjupyter.protocol.recipe import LoadedRecord
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import State

STACK_LIMIT_S = 2.0
"""How long to wait for the stack of an engine: its process can be stopped, or C code can hold its interpreter lock."""

_log = logging.getLogger(__name__)

Receive = Callable[[bytes], None]
Lost = Callable[[DetJupyterError], None]


class Connection(ABC):
    """What connects a :class:`RemoteEngine` to an :class:`~detjupyter.engine.host.EngineHost`.

    Attributes:
        bytes_sent: The size of the frames sent so far.
        bytes_received: The size of those received.
    """

    def __init__(self) -> None:
        self.bytes_sent = self.bytes_received = 0

    @abstractmethod
    def send(self, frame: bytes) -> None:
        """Send a frame, and return at once. It never raises, and takes no lock: finalizers call it. Thread: any."""

    @abstractmethod
    def kill(self) -> None:
        """End the other end at once, whatever it does."""

    def awaited(self) -> AbstractContextManager[None]:
        """See :meth:`Engine.awaited`."""
        return nullcontext()

    @property
    def is_own_thread(self) -> bool:
        """See :attr:`Engine.is_own_thread`."""
        return False


class RemoteEngine(Engine):
    """The session's end of a connection to an engine.

    Args:
        connect: Opens the connection. Its arguments take the frames that arrive, and the error with which the connection was lost.
        publish: Takes the events.
    """

    def __init__(self, connect: Callable[[Receive, Lost], Connection], publish: Publish) -> None:
        self.opened: Future[LoadedRecord] = Future()
        self.ended: Future[None] = Future()
        self._publish = publish
        self._waiting: dict[str, Future[Any]] = {OPENED: self.opened}  # without an answer yet, by id
        self._state, self._batches_trained = State.READY, 0
        self._refusal: DetJupyterError | None = None  # of everything, after the end
        self._connection = connect(self._receive, self._lose)

    @property
    def bytes_sent(self) -> int:
        """The size of the frames sent so far."""
        return self._connection.bytes_sent

    @property
    def bytes_received(self) -> int:
        """The size of the frames received so far."""
        return self._connection.bytes_received

    def send(self, message: CommandMessage) -> Future[Any]:
        """Send a command as a frame."""
        future: Future[Any] = Future()
        try:
            require_command(message.command)
            frame = pack(message)
        except DetJupyterError as error:
            future.set_exception(error)
            return future
        self._expect(message.id, future, frame)
        future.add_done_callback(lambda done: self._connection.send(pack(CancelCommand(message.id))) if done.cancelled() else None)
        return future

    def close(self, state: State, *, limit_s: float | None = None) -> bool:
        """End the engine."""
        # The engine keeps these limits itself; here they are for one that does not answer at all.
        limit = limit_s if limit_s is not None else max(JOIN_LIMIT_S, WRITE_LIMIT_S)
        try:
            return bool(self._call(CloseEngine(state, limit_s)).result(limit + JOIN_LIMIT_S))
        except TimeoutError:
            return False
        except DetJupyterError:  # the connection was lost
            return True

    def close_soon(self) -> None:
        """Ask the engine to end."""
        self._connection.send(pack(CallMessage(_new_id(), CloseEngineSoon())))

    def interrupt(self) -> None:
        """Interrupt a load."""
        self._connection.send(pack(CallMessage(_new_id(), InterruptLoad())))

    def kill(self) -> None:
        """Kill the engine."""
        self._connection.kill()

    def stack(self) -> str:
        """Return the frames of the engine's thread."""
        try:
            return str(self._call(ReadStack()).result(STACK_LIMIT_S))
        except TimeoutError:
            return "  (the process does not answer)"
        except DetJupyterError:  # the connection was lost
            return ""

    def awaited(self) -> AbstractContextManager[None]:
        """Register that the calling thread waits for the engine, if that is in this process."""
        return self._connection.awaited()

    @property
    def is_own_thread(self) -> bool:
        """Whether the calling thread is the engine's, if that is in this process."""
        return self._connection.is_own_thread

    @property
    def trial(self) -> Any:
        """Not available, since a trial cannot be serialized.

        Raises:
            SessionError: Always.
        """
        raise self._elsewhere("session.trial")

    @property
    def context(self) -> Any:
        """Not available, since a context cannot be serialized.

        Raises:
            SessionError: Always.
        """
        raise self._elsewhere("session.context")

    def _call(self, call: EngineCall) -> Future[Any]:
        message, future = CallMessage(_new_id(), call), Future[Any]()
        self._expect(message.id, future, pack(message))
        return future

    def _expect(self, answer_id: str, future: Future[Any], frame: bytes) -> None:
        """Send ``frame``, whose answer resolves ``future``."""
        self._waiting[answer_id] = future
        self._connection.send(frame)
        if self._refusal is not None:  # perhaps after the others were failed
            self._fail(self._refusal)

    def _receive(self, frame: bytes) -> None:
        message = unpack(frame)
        match message:
            case Answer():
                self._resolve(message)
            case EngineEnded():
                self._end(closed())
            case _:
                self._fold(message)
                try:
                    self._publish(message)
                except Exception:  # a bug of detjupyter; later frames, and the answers among them, must arrive nevertheless
                    _log.exception("Internal error in the session of an engine in another process.")

    def _resolve(self, answer: Answer) -> None:
        future = self._waiting.pop(answer.id, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if answer.error is not None:
            future.set_exception(answer.error.error())
        else:
            future.set_result(answer.result)

    def _fold(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            self._state, self._batches_trained = event.state, event.batches_trained

    def _lose(self, error: DetJupyterError) -> None:
        """End, because the connection was lost. Called once, in the thread that receives."""
        if self.ended.done():
            return
        with suppress(Exception):  # the waiting commands must be answered in any case
            self._publish(Logged((LogLine(time.time(), "detjupyter", str(error)),)))
            if self._state.is_live:
                self._publish(StateChanged(State.INTERRUPTED, self._batches_trained))
        self._end(error)

    def _end(self, error: DetJupyterError) -> None:
        """Fail with ``error`` what has no answer yet: calls, and commands that were sent too late for the engine."""
        self._refusal = error
        self._fail(error)
        self.ended.set_result(None)

    def _fail(self, error: DetJupyterError) -> None:
        while self._waiting:
            with suppress(KeyError):
                _, future = self._waiting.popitem()
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)

    def _elsewhere(self, what: str) -> SessionError:
        return SessionError(
            f"`{what}` needs the live trial, which is in another process.",
            state=self._state.value,
            hint="Metrics, checkpoints and the run are here. `dj.load_checkpoint(session.checkpoint())` builds a copy of the trial here.",
        )


class Loopback(Connection):
    """A connection to an engine in the same process: each frame is executed in the thread that sends it.

    With it, tests prove that an engine exchanges nothing but data.

    Args:
        open_engine: Opens the engine.
        receive: Takes the frames of the engine's end.
    """

    def __init__(self, open_engine: Callable[[Publish], Engine], receive: Receive) -> None:
        super().__init__()
        self._receive = receive
        self._host = EngineHost(open_engine, self._arrive)

    def send(self, frame: bytes) -> None:
        """Execute ``frame``."""
        self.bytes_sent += len(frame)
        self._host.receive(frame)

    def kill(self) -> None:
        """Kill the engine."""
        self.send(pack(CallMessage(_new_id(), KillEngine())))

    def awaited(self) -> AbstractContextManager[None]:
        """Register with the engine that the calling thread waits for it."""
        return self._host.engine.awaited()

    @property
    def is_own_thread(self) -> bool:
        """Whether the calling thread is the engine's."""
        return self._host.engine.is_own_thread

    def _arrive(self, frame: bytes) -> None:
        self.bytes_received += len(frame)
        self._receive(frame)


def loopback(open_engine: Callable[[Publish], Engine], publish: Publish) -> RemoteEngine:
    """Return an engine that exchanges frames with one that ``open_engine`` opens in this process."""
    return RemoteEngine(lambda receive, _: Loopback(open_engine, receive), publish)


def _new_id() -> str:
    return f"call-{uuid.uuid4().hex}"
