"""Wraps an engine so that every command, answer, event and call is serialized to bytes and back, in the same process.

With it, tests prove that an engine exchanges nothing but data. It behaves like an engine in another process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from detjupyter.engine.engine import Engine, Publish
from detjupyter.engine.once import Once
from detjupyter.errors import DetJupyterError, SessionError
from detjupyter.protocol.answers import Answer, ErrorAnswer
from detjupyter.protocol.calls import CloseEngine, CloseEngineSoon, EngineCall, InterruptLoad, KillEngine, ReadStack
from detjupyter.protocol.commands import CommandMessage, require_command
from detjupyter.protocol.events import Beat, CommandAnswered, Event, Logged, StateChanged, Until, Validated, Warned
from detjupyter.protocol.frames import pack, unpack
from detjupyter.protocol.recipe import LoadedRecord
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import State


class LoopbackEngine(Engine):
    """Another engine, with serialized communication.

    Args:
        open_inner: Opens the other engine; its argument takes that engine's events.
        publish: Takes the events on this side.
    """

    def __init__(self, open_inner: Callable[[Publish], Engine], publish: Publish) -> None:
        self.opened: Future[LoadedRecord] = Future()
        self.ended: Future[None] = Future()
        self.bytes_sent = self.bytes_received = 0
        self._publish = publish
        self._said, self._warned = Once(), Once()
        self._state = State.READY
        self._inner = open_inner(self._receive)
        self._inner.opened.add_done_callback(lambda inner: self._settle(self.opened, inner, "opened"))
        self._inner.ended.add_done_callback(lambda _: self.ended.set_result(None))

    def send(self, message: CommandMessage) -> Future[Any]:
        """Send a command as a frame."""
        outer: Future[Any] = Future()
        try:
            require_command(message.command)
            frame = pack(message)
        except DetJupyterError as error:
            outer.set_exception(error)
            return outer
        self.bytes_sent += len(frame)
        inner = self._inner.send(unpack(frame))
        outer.add_done_callback(lambda done: done.cancelled() and inner.cancel())
        inner.add_done_callback(lambda done: self._settle(outer, done, message.id))
        return outer

    def close(self, state: State, *, limit_s: float | None = None) -> bool:
        """End the other engine."""
        return bool(self._call(CloseEngine(state, limit_s)))

    def close_soon(self) -> None:
        """Ask the other engine to end."""
        self._call(CloseEngineSoon())

    def interrupt(self) -> None:
        """Interrupt a load in the other engine."""
        self._call(InterruptLoad())

    def kill(self) -> None:
        """Kill the other engine."""
        self._call(KillEngine())

    def stack(self) -> str:
        """Return the frames of the other engine's thread."""
        return str(self._call(ReadStack()))

    def awaited(self) -> AbstractContextManager[None]:
        """Register with the other engine that the calling thread waits for it; this is possible because both are in one process."""
        return self._inner.awaited()

    @property
    def is_own_thread(self) -> bool:
        """Whether the calling thread is the other engine's; this is possible because both are in one process."""
        return self._inner.is_own_thread

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

    def _call(self, call: EngineCall) -> Any:
        frame = pack(call)
        self.bytes_sent += len(frame)
        answer = pack(_answered(self._inner, unpack(frame)))
        self.bytes_received += len(answer)
        return unpack(answer)

    def _receive(self, event: Event) -> None:
        try:
            frame = pack(event)
        except DetJupyterError as error:
            frame = pack(_packable(event))
            if self._said.is_new(error.message):
                self._publish(Logged((LogLine(time.time(), "detjupyter", error.message),)))
            if self._warned.is_new(error.message):
                self._publish(Warned(error.message, Until.TRAINING))
        self.bytes_received += len(frame)
        arrived = unpack(frame)
        if isinstance(arrived, StateChanged):
            if arrived.state is State.RUNNING and not self._state.is_live:
                self._warned = Once()  # the last one's end with this event
            self._state = arrived.state
        self._publish(arrived)

    def _settle(self, outer: Future[Any], inner: Future[Any], command_id: str) -> None:
        if inner.cancelled() or not outer.set_running_or_notify_cancel():  # canceled on either side
            outer.cancel()
            return
        error = inner.exception()
        try:
            frame = pack(Answer(command_id, None if error else _packable_entries(inner.result()), ErrorAnswer.of(error) if error else None))
        except DetJupyterError as refused:  # the result cannot be serialized
            frame = pack(Answer(command_id, None, ErrorAnswer.of(refused)))
        self.bytes_received += len(frame)
        answer: Answer = unpack(frame)
        if answer.error is not None:
            outer.set_exception(answer.error.error())
        else:
            outer.set_result(answer.result)

    def _elsewhere(self, what: str) -> SessionError:
        return SessionError(
            f"`{what}` needs the live trial, which is in another process.",
            state=self._state.value,
            hint="Metrics, checkpoints and the run are here. `dj.load_checkpoint(session.checkpoint())` builds a copy of the trial here.",
        )


def _answered(engine: Engine, call: EngineCall) -> Any:
    """Execute ``call`` on ``engine``, and return the result."""
    match call:
        case CloseEngine():
            return engine.close(call.state, limit_s=call.limit_s)
        case CloseEngineSoon():
            return engine.close_soon()
        case InterruptLoad():
            return engine.interrupt()
        case KillEngine():
            return engine.kill()
        case ReadStack():
            return engine.stack()


def _packable(event: Event) -> Event:
    """Return ``event`` without the metrics and arguments that cannot be serialized; a ``Beat`` if it has other parts that cannot."""
    if isinstance(event, Validated):
        return replace(event, metrics=_packable_entries(event.metrics))
    if isinstance(event, CommandAnswered):
        return replace(event, arguments={name: value if _is_packable(value) else repr(value) for name, value in event.arguments.items()})
    return Beat()


def _packable_entries(values: Any) -> Any:
    """Return a mapping, such as the metrics of a validation, without the values that cannot be serialized; other values unchanged."""
    return {name: value for name, value in values.items() if _is_packable(value)} if isinstance(values, Mapping) else values


def _is_packable(value: Any) -> bool:
    try:
        pack(value)
    except DetJupyterError:
        return False
    return True
