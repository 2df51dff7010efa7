"""Records what one load of a definition adds to the process's logging, and removes it when the load ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from detjupyter.engine.output.capture import held
from detjupyter.engine.output.owner import here, working_for


class LoadedOutput:
    """The log handlers that one load of a definition has added.

    Wrap all work of the load, from its import to its release, in :meth:`active`. Call :meth:`release` when the load has failed, or another
    one has replaced it. Threads that are started inside also belong to the load.

    Thread: any.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    @contextmanager
    def active(self) -> Iterator[None]:
        """Record the log handlers that the calling thread adds inside the block."""
        with held(self), working_for(here.sink, self):
            yield

    def on_release(self, undo: Callable[[], object]) -> None:
        """Register a function that :meth:`release` calls. Exceptions that it raises are ignored."""
        self._undo.append(undo)

    def release(self) -> None:
        """Remove and close the handlers. Can be called twice."""
        while self._undo:
            with suppress(Exception):  # a user's handler can raise anything, and the others must still be removed
                self._undo.pop()()
