"""Wait for a load, an answer or the end of a training. An interrupt ends the waiting, not the training."""

from __future__ import annotations

import logging
import queue
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Any

from detjupyter.engine.engine import Engine
from detjupyter.errors import SessionError
from detjupyter.framework.framework import release_worker_threads
from detjupyter.next_step import NextStep, worded
from detjupyter.protocol.states import State
from detjupyter.session.publisher import EventPublisher
from detjupyter.session.stuck_watch import STUCK_AFTER_S
from detjupyter.text import printable

SLICE_S = 0.2
"""Waits are split into slices, so that an interrupt works on every platform."""
Echo = Callable[[str, str], object]
"""Called with the stream and the text that a definition prints while it is loaded."""

_logger = logging.getLogger("detjupyter")


class Waiting:
    """Waits in the caller's thread for the engine's thread.

    Thread: any except the engine's own, which cannot wait for itself.
    """

    def __init__(self, engine: Engine, publisher: EventPublisher) -> None:
        self._engine = engine
        self._publisher = publisher

    def require_other_thread(self) -> None:
        """Refuse to wait in the engine's own thread.

        Raises:
            SessionError: This is that thread.
        """
        if self._engine.is_own_thread:
            raise SessionError(
                "The training cannot wait for itself: this method was called in its own thread.",
                state=self._publisher.state.value,
                hint="`session.send(Pause())`, with the commands of detjupyter.protocol.commands, asks without waiting.",
            )

    def until_loaded(self, echo: Echo | None = None) -> None:
        """Wait until the engine has loaded the trial; ``echo`` gets the output of the definition.

        Raises:
            BaseException: The error that ended the load.
        """
        printed: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        unsubscribe = self._publisher.listen_to_lines(lambda line: printed.put((line.stream, f"{line.text}\n")))
        self._engine.opened.add_done_callback(lambda _: printed.put(None))  # ends the wait for a line
        try:
            while not self._engine.opened.done() or not printed.empty():
                with suppress(queue.Empty):
                    item = printed.get(timeout=SLICE_S)
                    if item is not None and echo is not None:
                        echo(*item)
            self._engine.opened.result()
        finally:
            unsubscribe()

    def for_answer(self, send: Callable[[], Future[Any]]) -> Any:
        """Send a command and return its answer; warn once if the current batch does not end."""
        release_worker_threads()  # of this thread, which now waits and does not compute
        with self._engine.awaited():
            future, is_reported, sent_at = send(), False, time.monotonic()
            while not future.done():
                wait_for([future], timeout=SLICE_S)
                if not is_reported and not future.done() and min(self._publisher.quiet_s(), time.monotonic() - sent_at) > STUCK_AFTER_S:
                    is_reported = True
                    self._warn_stuck()
            return future.result()

    def while_running(self, timeout_s: float | None) -> State:
        """Wait while the session runs, at most ``timeout_s`` seconds; return its state then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        state = State.RUNNING
        with self._engine.awaited():
            while state is State.RUNNING:
                left = SLICE_S if deadline is None else min(SLICE_S, deadline - time.monotonic())
                state = self._publisher.wait_while(State.RUNNING, max(left, 0.0))
                if left <= 0:  # after the state was read, also with a limit of 0
                    break
        return state

    def _warn_stuck(self) -> None:
        stack = self._engine.stack()
        if stack:
            where = f" It is in\n{printable(stack)}" if stack.strip() else ""
            _logger.warning(
                "The command has no answer yet: the trial's code has run for more than %.0f s.%s"
                "If it does not end, %s closes the session now; the run is kept.",
                STUCK_AFTER_S,
                where,
                worded(str(NextStep.FORCE_CLOSE)),
            )


def echo_to_streams(stream: str, text: str) -> None:
    """Print the output of a definition in the cell that loads it."""
    target = sys.stderr if stream == "stderr" else sys.stdout
    if stream in ("stdout", "stderr"):
        target.write(text)
