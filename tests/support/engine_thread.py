"""A thread that plays the engine: it runs what it is given, one thing after the other, in a copy of the maker's context variables."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from detjupyter.engine import ambient
from detjupyter.engine.output import LogSink
from detjupyter.engine.settings import ProcessSettings
from detjupyter.engine.thread import thread_environment
from support.waiting import LIMIT_S

T = TypeVar("T")


class EngineThread:
    """One trial's thread.

    Args:
        values: What is set in the thread at its beginning; by default what the maker's thread has set.
        settings: What the trial has set in the process.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, settings: ProcessSettings | None = None) -> None:
        self._log, self._notes = LogSink(), list[str]()
        self.settings = settings or ProcessSettings()
        self._values = ambient.capture() if values is None else values
        self._tasks: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._run,), name="engine of a test")

    def __enter__(self) -> EngineThread:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._tasks.put(None)
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()

    @property
    def notes(self) -> list[str]:
        """What the thread's environment has said in the log of its trial."""
        self._notes += [line.text for line in self._log.take()]
        return self._notes

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Do ``work`` in the thread, as the trial's, and return at once."""
        future: Future[T] = Future()
        self._tasks.put((work, future))
        return future

    def work(self, work: Callable[[], T]) -> T:
        """Do ``work`` in the thread, as the trial's, and return what it returns."""
        return self.begin(work).result(LIMIT_S)

    def _run(self) -> None:
        with thread_environment(self._log.say_once):
            ambient.apply(self._values)
            while (task := self._tasks.get()) is not None:
                work, future = task
                try:
                    with self.settings.active():
                        result = work()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
