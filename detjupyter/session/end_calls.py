"""Calls a function of the user when a training has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detjupyter.errors import SessionBusyError
from detjupyter.protocol.events import Event, PlanChanged, StateChanged
from detjupyter.protocol.states import State

Call = Callable[[], Any]


class EndCalls:
    """The functions to call at the end of the next training, and of the current one.

    A function runs in a thread of its own, so it may use the session, and train again. Python reports an error that it raises, as for any
    thread.

    Thread: any.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()  # a finalizer may use the session in the middle of another call
        self._trains = False  # also while the training is paused; not during a step outside of one
        self._next: list[Call] = []  # several, if several threads begin a training at once: all but one are refused
        self._current: list[Call] = []

    @contextmanager
    def at_the_end(self, call: Call | None) -> Iterator[None]:
        """Call ``call``, which no other call of this method has, at the end of the training that begins in the block, if one begins."""
        if call is not None:
            with self._lock:
                self._next.append(call)
        try:
            yield
        except SessionBusyError:  # the training that has begun is that of another thread
            self._remove(call, self._current)
            raise
        finally:
            self._remove(call, self._next)

    def react(self, event: Event) -> None:
        """Follow the training. Quick: it runs in the engine's thread."""
        ended: list[Call] = []
        with self._lock:
            if isinstance(event, PlanChanged) and not event.is_training:  # it was a step outside of a training
                self._current, self._next, self._trains = [], [*self._current, *self._next], False
            elif isinstance(event, StateChanged) and event.state is State.RUNNING and not self._trains:
                self._current, self._next, self._trains = self._next, [], True
            elif isinstance(event, StateChanged) and not event.state.is_live:
                ended, self._current, self._trains = self._current, [], False
        for call in ended:
            threading.Thread(target=call, name=f"detjupyter {self._name} on_done", daemon=True).start()

    def _remove(self, call: Call | None, calls: list[Call]) -> None:
        with self._lock:
            if call in calls:
                calls.remove(call)
