"""The commands that a session sends to its engine, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from detjupyter.protocol.commands import CommandMessage


class Outbox:
    """Passes commands on in order. A command that needs a run waits until a thread has begun it, and so do all later commands.

    Args:
        send: Sends a command to the engine.
        begin_run: Begins a run unless there is one; may take long, and may raise.

    Thread: any.
    """

    def __init__(self, send: Callable[[CommandMessage], Future[Any]], begin_run: Callable[[], object]) -> None:
        self._send = send
        self._begin_run = begin_run
        self._lock = threading.RLock()  # a finalizer may send a command in the middle of another
        self._waiting: deque[tuple[CommandMessage, Future[Any], bool]] = deque()
        self._is_working = False

    @property
    def is_idle(self) -> bool:
        """Whether a command sent now is passed on at once."""
        return not self._is_working

    def send(self, message: CommandMessage, *, needs_run: bool = False) -> Future[Any]:
        """Send a command and return at once; the future resolves to its answer.

        The future of a waiting command can be canceled until the command is passed on.
        """
        with self._lock:
            if not self._is_working and not needs_run:
                return self._send(message)
            future: Future[Any] = Future()
            self._waiting.append((message, future, needs_run))
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name="detjupyter run", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                self._is_working = bool(self._waiting)
                if not self._is_working:
                    return
                item = self._waiting.popleft()
            self._pass_on(*item)
            del item  # this thread must not keep the answer alive while it waits for the next run

    def _pass_on(self, message: CommandMessage, future: Future[Any], needs_run: bool) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            if needs_run:
                self._begin_run()
            inner = self._send(message)
        except Exception as error:  # the sender must get the error
            future.set_exception(error)
        else:
            inner.add_done_callback(lambda done: answer_like(done, future))


def answer_like(done: Future[Any], future: Future[Any], convert: Callable[[Any], Any] = lambda result: result) -> None:
    """Resolve ``future``, which is running, like ``done``; ``convert`` converts the result."""
    error = done.exception()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(convert(done.result()))
