"""Frees the memory of a trial that has ended, in the process and on the device."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

COLLECTION_INTERVAL_S = 10.0
"""Garbage collections that may be unnecessary run at most this often: each takes 0.1 to 0.3 s with torch loaded."""

_next_collection = 0.0


def reference_to(trial: object) -> Callable[[], object] | None:
    """Return a weak reference to ``trial`` for :func:`free_memory`, None if its class does not allow weak references."""
    try:
        return weakref.ref(trial)
    except TypeError:
        return None


def free_memory(free_device: Callable[[], object] | None = None, trial: Callable[[], object] | None = None) -> None:
    """Run Python's garbage collector if reference cycles may keep a trial alive, then have the framework free unused device memory.

    By then detjupyter's own objects form no cycles, but a trial's objects do: a module and its functions refer to each other, so a module's
    global data is in a cycle, and ``self.loss = self.compute_loss`` is another. Python's automatic collection visits old objects only after
    many new ones were created, possibly hours later.

    A trial that was freed with its last reference needs no immediate collection; the data in its modules is collected at most every
    :data:`COLLECTION_INTERVAL_S`.

    Args:
        free_device: The adapter's :meth:`~detjupyter.framework.adapter.TrialAdapter.free_device_memory`.
        trial: Returns the trial if it is still alive; None if that is unknown.

    Thread: any; takes 0.1 to 0.3 s in a process that has imported torch, during which no other Python code runs.
    """
    global _next_collection
    is_alive = trial is None or trial() is not None
    if is_alive or time.monotonic() >= _next_collection:
        gc.collect()
        _next_collection = time.monotonic() + COLLECTION_INTERVAL_S
    if free_device is not None:
        with suppress(Exception):  # a broken device fails here again, but the trial has ended anyway
            free_device()
