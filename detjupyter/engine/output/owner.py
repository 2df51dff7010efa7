"""The trial that a thread works for: the sink for its output, and the load that its log handlers belong to."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from detjupyter.framework.warning import Receive, deliver_to
from detjupyter.protocol.events import Until

T = TypeVar("T")


class Sink(Protocol):
    """Receives the output of threads.

    Thread: any.
    """

    def write(self, stream: str, text: str) -> None:
        """Add text that was written to ``stream`` (``stdout`` or ``stderr``)."""

    def flush(self) -> None:
        """Pass on buffered text."""

    def say(self, text: str) -> None:
        """Add a line about the output itself."""

    def say_once(self, text: str) -> None:
        """Add a line about the output itself, unless the same line was added before."""

    def warn(self, text: str, until: Until) -> None:
        """Add a warning of detjupyter about the trial."""


class Load(Protocol):
    """One load of a definition.

    Thread: any.
    """

    def on_release(self, undo: Callable[[], object]) -> None:
        """Register a function to call when the load ends."""


class _Here(threading.local):
    sink: Sink | None = None
    load: Load | None = None
    hold: object = None


_lent: list[Sink] = []  # the sinks of the blocks of native_threads_belong_here(), of all threads; nearly always empty

here = _Here()
"""The trial that the calling thread works for. Thread-local, not a dict by thread id, because Python reuses the ids of ended threads."""


def current_sink() -> Sink | None:
    """Return the sink for the calling thread's output, None if it is not captured."""
    sink = here.sink
    return _lent_sink() if sink is None and _lent else sink


def _current_receiver() -> Receive | None:
    sink = current_sink()
    return None if sink is None else sink.warn


deliver_to(_current_receiver)


def _lent_sink() -> Sink | None:
    """Return the sink of the trial that native threads work for now; None for other threads, and if several trials use native threads."""
    if not isinstance(threading.current_thread(), threading._DummyThread):  # Python's object for a thread that it has not started
        return None
    sinks = set(_lent)
    return sinks.pop() if len(sinks) == 1 else None  # with several trials, it is unknown for which one this thread works


@contextmanager
def native_threads_belong_here() -> Iterator[None]:
    """Attribute the threads that C code has started to the calling thread's trial inside the block.

    Python does not notice the start of such threads. Those of torch, in which ``backward()`` calls a trial's hooks for a GPU, serve the
    whole process. While the blocks of two trials overlap, the output of these threads is not captured. The block is cheap enough for every
    batch.

    Thread: any.
    """
    sink = here.sink
    if sink is None:
        yield
        return
    _lent.append(sink)
    try:
        yield
    finally:
        _lent.remove(sink)


@contextmanager
def working_for(sink: Sink | None, load: Load | None) -> Iterator[None]:
    """Make the calling thread work for ``sink`` and ``load`` inside the block."""
    before = here.sink, here.load
    here.sink, here.load = sink, load
    try:
        yield
    finally:
        here.sink, here.load = before


def outside(function: Callable[..., T], *arguments: Any) -> T:
    """Call ``function`` as if the calling thread were not a trial's: uncaptured, and without context variables.

    The engine's thread runs in a copy of the context of the cell that loaded the trial. ipykernel reads from the context which cell a
    message belongs to, so messages of a view would go to that cell, long after it has ended.
    """
    with uncaptured():
        return contextvars.Context().run(function, *arguments)


def uncaptured() -> AbstractContextManager[None]:
    """Return a context manager in which the calling thread's output is not captured.

    For code of detjupyter that runs in a trial's thread, such as the update of a view.
    """
    return working_for(None, None)
