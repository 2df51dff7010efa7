"""Detect an engine that has work but no longer reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from detjupyter.protocol.events import Event, StateChanged
from detjupyter.protocol.states import State

STUCK_AFTER_S = 5.0
"""An engine that has work but has not reported for this long is stuck, or in a very long batch."""
LOOK_EVERY_S = 1.0

T = TypeVar("T")


class StuckWatch:
    """Checks every second whether the engine still reports, while a session runs or a command has no answer.

    Args:
        name: The name of the session, for the thread.
        quiet_s: Returns the seconds since the engine's last report.
        stack: Returns the stack of the engine's thread.
        found: Called with the stack when the engine is found stuck and at every later check, and with None when it reports again.

    Thread: any; the checks run in a separate thread.
    """

    def __init__(self, name: str, quiet_s: Callable[[], float], stack: Callable[[], str], found: Callable[[str | None], object]) -> None:
        self._name = name
        self._quiet_s = quiet_s
        self._stack = stack
        self._found = found
        self._lock = threading.RLock()  # a finalizer may send a command in the middle of `_count`, in the same thread
        self._unanswered = 0
        self._is_running = False
        self._end: threading.Event | None = None

    def react(self, event: Event) -> None:
        """Track whether the session runs."""
        if isinstance(event, StateChanged):
            with self._lock:
                self._is_running = event.state is State.RUNNING
                self._begin_or_end()

    def over(self, answer: Future[T]) -> Future[T]:
        """Watch until ``answer`` is resolved; return it."""
        self._count(1)
        answer.add_done_callback(lambda _: self._count(-1))
        return answer

    def _count(self, more: int) -> None:
        with self._lock:
            self._unanswered += more
            self._begin_or_end()

    def _begin_or_end(self) -> None:
        # A loop, and one assignment each: a finalizer may change the need, begin a watch or end it before any of these lines.
        while (self._is_running or self._unanswered > 0) != (self._end is not None):
            if self._end is None:
                end = threading.Event()
                self._end = self._end or end
                if self._end is end:
                    threading.Thread(target=self._watch, args=(end,), name=f"detjupyter {self._name} watch", daemon=True).start()
            else:
                ended, self._end = self._end, None
                if ended is not None:
                    ended.set()

    def _watch(self, end: threading.Event) -> None:
        is_stuck, began = False, time.monotonic()
        while not end.wait(LOOK_EVERY_S):
            stuck = min(self._quiet_s(), time.monotonic() - began) > STUCK_AFTER_S
            if stuck or is_stuck:
                self._found(self._stack() if stuck else None)
            is_stuck = stuck
        if is_stuck:
            self._found(None)
