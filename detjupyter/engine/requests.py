"""Requests: commands that wait for their execution and their answer. The inbox that passes them to the engine's thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from detjupyter.engine.failure import summary, without_own_frames
from detjupyter.engine.output import outside
from detjupyter.errors import DetJupyterError
from detjupyter.protocol.commands import COMMANDS, CommandMessage, arguments_of
from detjupyter.protocol.events import CommandAnswered


class Request:
    """A command, and the future that its sender waits for.

    The first call of :meth:`done`, :meth:`refuse`, :meth:`fail`, :meth:`reject` or :meth:`abandon` answers the request; later calls do
    nothing. The event about the answer is emitted before the future is settled, so that the record has it when the sender continues.

    Args:
        message: The command.
        future: The sender's future.

    Attributes:
        at_batch: The number of batches trained when the command took effect.
        number: The number of the command among those that the engine has executed, from 1; 0 before.
        answered: Called with the request, the outcome, the error and the details before the future is settled. Set by the driver, which
            emits the event.
    """

    def __init__(self, message: CommandMessage, future: Future[Any]) -> None:
        self.message = message
        self.at_batch = 0
        self.number = 0
        self.answered: Callable[[Request, str, BaseException | None, dict[str, Any]], object] = lambda *_: None
        self._future = future
        self._lock = threading.RLock()
        self._is_answered = False

    def begin(self, at_batch: int, number: int = 0) -> bool:
        """Record that the command takes effect; return False if its sender has canceled it, or if it was abandoned."""
        self.at_batch, self.number = at_batch, number
        with self._lock:
            return not self._is_answered and self._future.set_running_or_notify_cancel()

    def done(self, result: Any = None, **details: Any) -> None:
        """Answer that the command succeeded."""
        self._answer("done", None, details, lambda: self._future.set_result(result))

    def refuse(self, error: BaseException) -> None:
        """Answer that the command was refused and changed nothing."""
        self._answer("refused", error, {}, lambda: self._future.set_exception(error))

    def fail(self, error: BaseException) -> None:
        """Answer that the command took effect and then failed, or was canceled."""
        self._answer("failed", error, {}, lambda: self._future.set_exception(error))

    def reject(self, error: BaseException) -> None:
        """Answer with an exception: one of detjupyter's errors means that the command was refused, any other that user code failed."""
        answer = self.refuse if isinstance(error, DetJupyterError) else self.fail
        answer(without_own_frames(error))

    def abandon(self, error: BaseException) -> None:
        """Answer on behalf of an engine that cannot answer any more, without an event. Does nothing if the request is answered already.

        Thread: any.
        """
        if self._is_first():
            with suppress(InvalidStateError):  # the sender has canceled the future
                outside(self._future.set_exception, error)

    def _answer(self, outcome: str, error: BaseException | None, details: dict[str, Any], settle: Callable[[], None]) -> None:
        if not self._is_first():
            return
        try:
            self.answered(self, outcome, error, details)
        finally:  # even if emitting the event fails, the sender must not wait forever
            outside(settle)  # the future's callbacks belong to views, so their output must not be captured as the trial's

    def _is_first(self) -> bool:
        with self._lock:
            is_first, self._is_answered = not self._is_answered, True
        return is_first

    def event(self, outcome: str, error: BaseException | None, details: dict[str, Any], batches_trained: int) -> CommandAnswered | None:
        """Return the event about an answer, None for internal commands of the session."""
        command: Any = self.message.command
        if command.kind not in COMMANDS:
            return None
        return CommandAnswered(
            id=self.message.id,
            command=command.kind,
            arguments=arguments_of(command),
            origin=self.message.origin,
            at_batch=self.at_batch,
            answered_at_batch=batches_trained,
            outcome=outcome,
            number=self.number,
            error=None if error is None else summary(error),
            details=details,
        )


class Inbox:
    """The requests that the driver has not handled yet, and functions that other threads of the engine want called in its own thread.

    Thread: any. ``bool(inbox)`` runs after every batch, so it only reads a deque and takes no lock.
    """

    def __init__(self) -> None:
        self._waiting: deque[Request | Callable[[], None]] = deque()
        # Reentrant: garbage collection in a thread that is here can end the engine, which calls put().
        self._arrived = threading.Condition()
        self._is_closed = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Request | Callable[[], None]) -> bool:
        """Add a request, or a function to call; return False if the inbox is closed."""
        with self._arrived:
            if self._is_closed:
                return False
            self._waiting.append(item)
            self._arrived.notify()
        return True

    def take(self) -> Request | Callable[[], None] | None:
        """Return the oldest item, None if there is none."""
        return self._waiting.popleft() if self._waiting else None

    def wait(self, timeout_s: float) -> bool:
        """Wait for an item, at most ``timeout_s`` seconds; return whether there is one."""
        with self._arrived:
            if not self._waiting:
                self._arrived.wait(timeout_s)
            return bool(self._waiting)

    def close(self) -> list[Request]:
        """Accept no more items, and return the remaining requests."""
        with self._arrived:
            self._is_closed = True
            left = [item for item in self._waiting if isinstance(item, Request)]
            self._waiting.clear()
        return left
