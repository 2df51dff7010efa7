"""What the trial prints while it trains goes to the run's log, not into whichever cell happens to run.

``sys.stdout`` and ``sys.stderr`` are wrapped only while a driver's thread is alive, and the wrapper sends on every other thread's text
untouched. Handlers of the root logger that write to them (``logging.basicConfig`` in a cell makes one) are treated alike.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from detjupyter.protocol.records import LogLine

MAX_LINE = 2000
MAX_PENDING_LINES = 5000


class LogSink:
    """Gather lines until the driver takes them.

    A carriage return starts the line anew, as in a terminal, so that a progress bar leaves one line and not thousands.

    Thread: :meth:`write` and :meth:`say` in any thread, :meth:`take` in the driver's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, str] = {}
        self._lines: list[LogLine] = []
        self._dropped = 0

    def write(self, stream: str, text: str) -> None:
        """Add what was printed to ``stream``; only whole lines become log lines."""
        with self._lock:
            *whole, rest = (self._open.get(stream, "") + text).split("\n")
            for line in whole:
                self._add(stream, line)
            self._open[stream] = rest[-MAX_LINE:]

    def say(self, text: str) -> None:
        """Add a line that the session says of itself."""
        with self._lock:
            self._add("detjupyter", text)

    def take(self, *, unfinished: bool = False) -> tuple[LogLine, ...]:
        """Return the lines since the last call; with ``unfinished`` also what no newline has ended yet."""
        if not self._lines and not unfinished:
            return ()
        with self._lock:
            if unfinished:
                for stream, text in self._open.items():
                    if text.strip():
                        self._add(stream, text)
                self._open.clear()
            lines, self._lines = self._lines, []
            if self._dropped:
                lines.append(LogLine(time.time(), "detjupyter", f"{self._dropped:,} lines were left out: too many at once."))
                self._dropped = 0
        return tuple(lines)

    def _add(self, stream: str, line: str) -> None:
        if len(self._lines) >= MAX_PENDING_LINES:
            self._dropped += 1
            return
        shown = line.rstrip("\r").rsplit("\r", 1)[-1]
        self._lines.append(LogLine(time.time(), stream, shown[:MAX_LINE]))


_sinks: dict[int, LogSink] = {}
_lock = threading.Lock()
_STREAMS = ("stdout", "stderr")
# The wrappers made last. Until Python 3.14 ``print`` does not hold a reference to ``sys.stdout`` while it writes: a wrapper that goes away
# in one thread while another is inside of ``print`` takes the process with it.
_wrappers: deque[_ByThread] = deque(maxlen=32)


@contextmanager
def captured(sink: LogSink) -> Iterator[None]:
    """Send what this thread prints to ``sink``."""
    ident = threading.get_ident()
    with _lock:
        _sinks[ident] = sink
    keep_captured()
    try:
        yield
    finally:
        with _lock:
            del _sinks[ident]
            if not _sinks:
                for name in _STREAMS:
                    stream = getattr(sys, name)
                    if isinstance(stream, _ByThread):
                        setattr(sys, name, stream.original)
                for handler in _root_handlers():
                    if isinstance(handler.stream, _ByThread):
                        handler.setStream(handler.stream.original)


def are_captured() -> bool:
    """Return whether the streams are those that know threads: another thread may have replaced them."""
    return type(sys.stdout) is _ByThread and type(sys.stderr) is _ByThread


def keep_captured() -> None:
    """Wrap the streams again if another thread replaced them: a cell that began under ``%%capture`` puts back what it found."""
    if are_captured():
        return
    with _lock:
        for name in _STREAMS:
            stream = getattr(sys, name)
            if not isinstance(stream, _ByThread):
                stream = _wrapper_of(stream, name)
                setattr(sys, name, stream)
            for handler in _root_handlers():
                if handler.stream is stream.original:
                    handler.setStream(stream)


def _root_handlers() -> list[logging.StreamHandler[Any]]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]


def _wrapper_of(stream: TextIO, name: str) -> _ByThread:
    for wrapper in _wrappers:
        if wrapper.original is stream and wrapper.name_in_sys == name:
            return wrapper
    _wrappers.append(_ByThread(stream, name))
    return _wrappers[-1]


def _forget_in_child() -> None:
    """Let a forked child (a data loader's worker) print where it would without us: nobody reads its copy of a sink."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    _sinks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class _ByThread:
    """A text stream that goes to the thread's sink where there is one, and to the original stream everywhere else."""

    def __init__(self, original: TextIO, name: str) -> None:
        self.original = original
        self.name_in_sys = name

    def write(self, text: str) -> int:
        sink = _sinks.get(threading.get_ident())
        if sink is None:
            return self.original.write(text)
        sink.write(self.name_in_sys, text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if threading.get_ident() not in _sinks:
            self.original.flush()

    def __getattr__(self, name: str) -> Any:  # Any: whatever the original stream offers
        return getattr(self.original, name)
