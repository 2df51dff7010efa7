"""Finalizers run anywhere: a garbage collection calls them between any two lines, in the thread that happens to run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from support.waiting import LIMIT_S

_MODULES = ("detjupyter", "threading", "contextlib")
"""Modules before whose lines a finalizer runs; a lock's own methods are in ``threading``."""


class Finalizer:
    """Call ``function`` before each line of detjupyter that the traced threads run, or before one of them.

    Args:
        function: What the finalizer does.
        at: The number of the only line before which it is called, from 1.

    Attributes:
        calls: How often it was called.
        errors: What it raised.
    """

    def __init__(self, function: Callable[[], object], *, at: int | None = None) -> None:
        self._function = function
        self._at = at
        self._lines = 0
        self.calls = 0
        self.errors: list[BaseException] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        """Trace: Python traces nothing inside, so a finalizer does not interrupt itself."""
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _MODULES:
            return None
        self._lines += event == "line"
        if event == "line" and self._at in (None, self._lines):
            self.calls += 1
            try:
                self._function()
            except BaseException as error:
                self.errors.append(error)
        return self


def run_with(finalizer: Finalizer, work: Callable[[], object]) -> None:
    """Do ``work`` in a thread with ``finalizer``.

    Raises:
        AssertionError: It did not end, or the finalizer or the work failed.
    """
    errors: list[BaseException] = []

    def run() -> None:
        sys.settrace(finalizer)
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "a finalizer waits for its own thread"
    assert not errors + finalizer.errors
    assert finalizer.calls


@contextmanager
def in_new_threads(finalizer: Finalizer) -> Iterator[None]:
    """Run ``finalizer`` in all threads that start inside the block."""
    threading.settrace(finalizer)
    try:
        yield
    finally:
        threading.settrace(None)  # type: ignore[arg-type]  # as its documentation allows
