"""The commands that a session sends to its engine, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from detjupyter.protocol.commands import CommandMessage


class Outbox:
    """Passes commands on in order. A command that needs preparation waits until a thread has prepared it, and so do all later commands.

    Args:
        send: Sends a command to the engine.

    Thread: any.
    """

    def __init__(self, send: Callable[[CommandMessage], Future[Any]]) -> None:
        self._send = send
        self._lock = threading.RLock()  # a finalizer may send a command in the middle of another
        self._waiting: deque[tuple[Callable[[], CommandMessage], Future[Any]]] = deque()
        self._is_working = False

    @property
    def is_idle(self) -> bool:
        """Whether a command sent now is passed on at once."""
        return not self._is_working

    def send(self, message: CommandMessage) -> Future[Any]:
        """Send a command and return at once; the future resolves to its answer.

        The future of a waiting command can be canceled until the command is passed on.
        """
        with self._lock:
            return self.send_prepared(lambda: message) if self._is_working else self._send(message)

    def send_prepared(self, prepare: Callable[[], CommandMessage]) -> Future[Any]:
        """Send the command that ``prepare`` returns; a thread calls it. It can take long, and can raise."""
        with self._lock:
            future: Future[Any] = Future()
            self._waiting.append((prepare, future))
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name="detjupyter run", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                # `send` needs the lock, too, so no command overtakes one that waits.
                self._is_working = bool(self._waiting)
                if not self._is_working:
                    return
                item = self._waiting.popleft()
            self._pass_on(*item)
            del item  # this thread must not keep the answer alive while it waits for the next run

    def _pass_on(self, prepare: Callable[[], CommandMessage], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            inner = self._send(prepare())
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
