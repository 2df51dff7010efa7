"""Runs an engine for a session at the other end of a connection: every command, answer, event and call is a frame of bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from detjupyter.engine.engine import Engine, Publish
from detjupyter.engine.once import Once
from detjupyter.errors import DetJupyterError
from detjupyter.protocol.answers import Answer, ErrorAnswer
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
from detjupyter.protocol.commands import CommandMessage
from detjupyter.protocol.events import Beat, CommandAnswered, Event, Logged, StateChanged, Until, Validated, Warned
from detjupyter.protocol.frames import pack, unpack
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import State


class EngineHost:
    """The engine's end of a connection.

    Args:
        open_engine: Opens the engine; its argument takes the engine's events.
        send: Sends a frame to the session's end. It is quick and never raises.
        run: Executes a function that can take seconds; by default in the calling thread.

    Thread: :meth:`receive` one at a time.
    """

    def __init__(
        self,
        open_engine: Callable[[Publish], Engine],
        send: Callable[[bytes], object],
        run: Callable[[Callable[[], None]], object] = lambda function: function(),
    ) -> None:
        self._send = send
        self._run = run
        self._commands: dict[str, Future[Any]] = {}  # without an answer yet, by id
        self._said, self._warned = Once(), Once()
        self._state = State.READY
        self.engine = open_engine(self._publish)
        self.engine.opened.add_done_callback(lambda done: self._answer(OPENED, done))
        self.engine.ended.add_done_callback(lambda _: send(pack(EngineEnded())))

    def receive(self, frame: bytes) -> None:
        """Execute a frame of the session's end.

        Raises:
            ProtocolError: It cannot be read.
        """
        message = unpack(frame)
        match message:
            case CommandMessage():
                future = self._commands[message.id] = self.engine.send(message)
                future.add_done_callback(lambda done: self._answer(message.id, done))
            case CancelCommand() if message.id in self._commands:
                self._commands[message.id].cancel()
            case CallMessage():
                self._run(lambda: self._send(pack(Answer(message.id, _result(self.engine, message.call)))))

    def _answer(self, command_id: str, done: Future[Any]) -> None:
        self._commands.pop(command_id, None)
        if done.cancelled():  # on behalf of the other end, which expects no answer
            return
        error = done.exception()
        try:
            frame = pack(Answer(command_id, None if error else _packable_entries(done.result()), ErrorAnswer.of(error) if error else None))
        except DetJupyterError as refused:  # the result cannot be sent
            frame = pack(Answer(command_id, None, ErrorAnswer.of(refused)))
        self._send(frame)

    def _publish(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            if event.state is State.RUNNING and not self._state.is_live:
                self._warned = Once()  # the warnings of the previous training end with this event
            self._state = event.state
        try:
            frame = pack(event)
        except DetJupyterError as error:
            frame = pack(_packable(event))
            if self._said.is_new(error.message):
                self._send(pack(Logged((LogLine(time.time(), "detjupyter", error.message),))))
            if self._warned.is_new(error.message):
                self._send(pack(Warned(error.message, Until.TRAINING)))
        self._send(frame)


def _result(engine: Engine, call: EngineCall) -> Any:
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
