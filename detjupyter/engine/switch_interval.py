"""Lowers the interpreter's switch interval while a session trains, so that the training gets the interpreter lock back quickly.

Every tensor operation releases the lock. A thread that computes in pure Python takes it at once and keeps it for the switch interval, 5 ms
by default. A batch of a tiny network waits for the lock about ten times, so with two cores such a network trains 150 times slower while a
cell computes. With the interval of this module, the training keeps more than a quarter of its speed, and the cell two thirds of its speed
(``benchmarks/busy_cell.py``). The interval costs nothing while only one thread needs the lock.

The interval belongs to the process. It is lowered while at least one session trains, and restored when the last one stops. A value that
other code sets in between is kept.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

TRAINING_INTERVAL_S = 1e-3 if sys.platform == "win32" else 5e-6
"""On Windows waits have a resolution of 1 ms: with a shorter interval, a waiting thread would poll without a pause."""


def is_lowered(interval_s: float) -> bool:
    """Return whether the interval is one that a training has lowered."""
    return abs(interval_s - TRAINING_INTERVAL_S) < 0.6e-6  # the interpreter rounds it to microseconds


class SwitchInterval:
    """The switch interval of a process, lowered while at least one block is active.

    Thread: any; blocks of several threads can overlap.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._usual_s: float | None = None  # the value to restore, None if the interval was not lowered
        self._lowered_s: float | None = None  # our own value as the interpreter reports it: rounded to microseconds

    @contextmanager
    def lowered(self) -> Iterator[None]:
        """Lower the interval to :data:`TRAINING_INTERVAL_S` inside the block; a shorter interval is kept."""
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                self._lower()
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if self._blocks == 0:
                    self.restore()

    def _lower(self) -> None:
        usual_s = sys.getswitchinterval()
        if usual_s > TRAINING_INTERVAL_S:
            self._usual_s = usual_s  # before the change: another thread can fork the process at any point, and the child must restore it
            sys.setswitchinterval(TRAINING_INTERVAL_S)
            self._lowered_s = sys.getswitchinterval()

    def restore(self) -> None:
        """Restore the interval, unless other code has changed it since it was lowered. Takes no lock."""
        usual_s, lowered_s = self._usual_s, self._lowered_s
        if usual_s is not None and (lowered_s is None or sys.getswitchinterval() == lowered_s):
            sys.setswitchinterval(usual_s)
        self._usual_s = None  # after the change, for the same reason
        self._lowered_s = None


_of_this_process = SwitchInterval()


def quick_handovers() -> AbstractContextManager[None]:
    """Return a context manager that lowers this process's switch interval inside its block.

    Thread: any.
    """
    return _of_this_process.lowered()


def _start_anew_in_child() -> None:
    """Restore the interval in a forked child, such as a data loader's worker, because the sessions train in the parent."""
    global _of_this_process
    inherited, _of_this_process = _of_this_process, SwitchInterval()  # another thread of the parent may hold the old one's lock forever
    inherited.restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_in_child)
