"""Calls a function of the user when a training has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detjupyter.protocol.events import Event, StateChanged

Call = Callable[[], Any]


class EndCalls:
    """The functions to call at the end of the next training, and of the current one.

    A function runs in a thread of its own, so it may use the session, and train again. Python reports an error that it raises, as for any
    thread.

    Thread: any.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._next: Call | None = None
        self._current: Call | None = None

    @contextmanager
    def at_the_end(self, call: Call | None) -> Iterator[None]:
        """Call ``call`` at the end of the training that begins in the block; never, if none begins."""
        self._next = call
        try:
            yield
        finally:
            if self._next is call:  # no training has begun; another thread may begin the next one by now
                self._next = None

    def react(self, event: Event) -> None:
        """Follow the training. Quick: it runs in the engine's thread."""
        if not isinstance(event, StateChanged):
            return
        if event.state.is_live and self._next is not None:
            self._current, self._next = self._next, None
        elif not event.state.is_live and self._current is not None:
            call, self._current = self._current, None
            threading.Thread(target=call, name=f"detjupyter {self._name} on_done", daemon=True).start()
