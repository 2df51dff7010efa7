"""Publishes the engine's events, each after the lines that the trial printed before it, and before its warnings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from detjupyter.engine.engine import Publish
from detjupyter.engine.gpu import GpuMonitor
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.output import LogSink, outside, uncaptured
from detjupyter.framework.warning import Receive
from detjupyter.protocol.events import Event, FilesUsed, GpuRead, Logged, Until, activity_after
from detjupyter.protocol.states import Activity

LINES_INTERVAL_S = 0.1
"""While a definition is loaded, its output is emitted this often."""
FILES_INTERVAL_S = 1.0
"""The opened files of a training are checked this often, and at every :meth:`Emitter.flush`."""


class Emitter:
    """Emits events in order, each after the lines that were printed before it.

    Warnings follow the next event: a load warns before it has replaced the earlier code, whose warnings end with its event.

    Args:
        publish: Takes each event; it must be quick and must not raise.
        sink: Collects what the trial prints.

    Attributes:
        activity: The engine's activity, according to the events so far.
        warn: Warns about the trial, see :func:`detjupyter.framework.warning.warn`.

    Thread: the engine's, or another one while the engine's is inside :meth:`in_background`; :meth:`say` and :attr:`warn` any.
    """

    def __init__(self, publish: Publish, sink: LogSink) -> None:
        self.sink = sink
        self.warn: Receive = sink.warn
        self.activity = Activity.IDLE
        self._publish_to = publish
        self._gpu = GpuMonitor(None)
        self._loaded: LoadedTrial | None = None
        self._next_files = 0.0
        self._known_sources: set[str] = set()
        self._known_opened: frozenset[str] = frozenset()

    def follow(self, loaded: LoadedTrial, known_sources: set[str]) -> None:
        """Start to report the opened files and the GPU of ``loaded``."""
        self._loaded = loaded
        self._gpu = GpuMonitor(loaded.adapter.gpu_uuid)
        self._known_sources, self._known_opened = known_sources, frozenset()

    def unfollow(self) -> None:
        """Drop the reference to the trial."""
        self._loaded = None

    def say(self, text: str) -> None:
        """Add one of detjupyter's lines to the log; it is emitted before the next event. Thread: any."""
        self.sink.say(text)

    @contextmanager
    def in_background(self, name: str) -> Iterator[None]:
        """Emit printed lines from a background thread inside the block. The calling thread must emit nothing inside it.

        Args:
            name: The name of the background thread.
        """
        is_over = threading.Event()

        def emit() -> None:
            while not is_over.wait(LINES_INTERVAL_S):
                self.emit_lines()

        thread = threading.Thread(target=emit, name=name, daemon=True)
        try:
            with uncaptured():  # else the new thread would count as one of the trial's
                thread.start()
            yield
        finally:
            is_over.set()
            if thread.is_alive():  # an interrupt can be raised before the thread is started
                thread.join()

    def emit(self, event: Event) -> None:
        """Emit ``event``, after the whole lines that were printed before it."""
        self.emit_lines(unfinished=False)
        self._publish(event)
        self._emit_warnings()
        self._emit_readings()

    def flush(self, event: Event | None = None) -> None:
        """Emit everything that is pending, including unfinished lines and opened files, and then ``event``."""
        self.emit_lines(unfinished=True)
        self._next_files = 0.0
        self._emit_readings()
        if event is not None:
            self._publish(event)
        self._emit_warnings()

    @contextmanager
    def renewing(self, until: Until) -> Iterator[None]:
        """Replace the warnings that ``until`` ends by those of the block; if it raises, they remain, and those of the block are dropped.

        The block, or the code after it, must emit the event that ends them.
        """
        self._emit_warnings()
        self.sink.warnings.end(until)
        try:
            yield
        except BaseException:
            self.sink.warnings.take()
            raise

    def emit_lines(self, *, unfinished: bool = False) -> None:
        """Emit the lines printed since the last call; with ``unfinished``, also text that no newline has ended yet."""
        lines = self.sink.take(unfinished=unfinished)
        if lines:
            self._publish(Logged(lines))

    def _emit_readings(self) -> None:
        if self._gpu.is_due():
            self._publish(GpuRead(self._gpu.read()))
        now = time.monotonic()
        if self._loaded is not None and now >= self._next_files:
            self._next_files = now + FILES_INTERVAL_S
            self._emit_files(self._loaded)

    def _emit_warnings(self) -> None:
        for warned in self.sink.warnings.take():
            self._publish(warned)

    def _publish(self, event: Event) -> None:
        self.activity = activity_after(event, self.activity)
        outside(self._publish_to, event)  # the session's code, and threads that it starts, must not count as the trial's

    def _emit_files(self, loaded: LoadedTrial) -> None:
        sources, opened = loaded.trial_class.scope.sources(), loaded.usage.opened()
        fresh = {path: text for path, text in sources.items() if path not in self._known_sources}
        also = opened - self._known_opened
        if fresh or also:
            self._known_sources.update(fresh)
            self._known_opened = opened
            self._publish(FilesUsed(fresh, tuple(sorted(also)), loaded.usage.complete))
