"""Collects the output of a trial as lines of a log."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from detjupyter.engine.once import Once
from detjupyter.engine.output.redraw import shown_lines, split_lines
from detjupyter.engine.output.warned import NewWarnings
from detjupyter.protocol.events import Until
from detjupyter.protocol.records import LogLine

MAX_LINE = 2000
MAX_PENDING_LINES = 5000


class OpenLines:
    """Text that no newline has ended yet, for each stream and each printing thread.

    This code and the sinks use no locks. Between any two lines of it, garbage collection can run a finalizer that prints, in the same
    thread. A thread that waits here could also hold a lock, such as that of a logging handler, which a finalizer in another thread needs.
    Each step is therefore a single operation on a dict or a deque, which the interpreter does not interrupt.

    Args:
        split: Returns the lines of a text that have ended, and the remaining text.

    Thread: any.
    """

    def __init__(self, split: Callable[[str], tuple[list[str], str]]) -> None:
        self._split = split
        self._texts: dict[tuple[str, object], str] = {}

    def add(self, stream: str, text: str, use: Callable[[str, list[str]], None], source: object = None) -> None:
        """Add ``text``; if it completes lines, call ``use`` with ``stream`` and these lines.

        Args:
            stream: ``stdout`` or ``stderr``.
            text: The printed text.
            use: Takes the lines.
            source: The printing object; by default the calling thread.
        """
        key = (stream, threading.get_ident() if source is None else source)
        whole, rest = self._split(self._texts.pop(key, "") + text)
        if whole:
            use(stream, whole)
        rest += self._texts.pop(key, "")  # text that a finalizer has just printed
        if rest:
            self._texts[key] = rest

    def take(self) -> list[tuple[str, str]]:
        """Remove and return the remaining texts, as (stream, text)."""
        return [(key[0], self._texts.pop(key, "")) for key in list(self._texts)]


class LogSink:
    """Collects lines until the engine takes them.

    What redraws lines is obeyed (:mod:`.redraw`), so that a progress bar leaves one line instead of thousands. Output of concurrent
    threads does not mix within a line. The output of a finalizer that runs while its thread prints can be added to that thread's line.

    Attributes:
        warnings: The warnings that are not emitted yet; their lines are in the log.

    Thread: any; :meth:`take` one at a time.
    """

    def __init__(self) -> None:
        self._open = OpenLines(lambda text: split_lines(text, MAX_LINE))
        self._lines: deque[LogLine] = deque()
        self._dropped = 0
        self._once = Once()
        self.warnings = NewWarnings()
        self._sources: list[Callable[[], None]] = []
        self.is_closed = False

    def write(self, stream: str, text: str, *, source: object = None) -> None:
        """Add text that was printed to ``stream``. Only whole lines become log lines.

        Args:
            stream: ``stdout`` or ``stderr``.
            text: The printed text.
            source: The printing object, by default the calling thread. Each source has its own unfinished line.
        """
        if not self.is_closed:
            self._open.add(stream, text, self._add, source)

    def close(self) -> None:
        """Ignore text until :meth:`reopen`. The remaining lines can still be taken."""
        self.is_closed = True

    def reopen(self) -> None:
        """Accept text again."""
        self.is_closed = False

    def flush(self) -> None:
        """Do nothing, because text is not buffered."""

    def say(self, text: str) -> None:
        """Add one or more of detjupyter's own lines."""
        self._add("detjupyter", text.split("\n"))

    def say_once(self, text: str) -> None:
        """Add a line like :meth:`say`, unless the same line was added before."""
        if self._once.is_new(text):
            self.say(text)

    def warn(self, text: str, until: Until) -> None:
        """Add a warning of detjupyter about the trial, unless the same one still holds, and a line that the log does not have."""
        warned = self.warnings.add(text, until)
        if warned is not None:
            self.say_once(warned.text)

    def add_source(self, drain: Callable[[], None]) -> Callable[[], None]:
        """Register a function that :meth:`take` calls first, to write pending text to this sink; return a function that removes it."""
        self._sources.append(drain)
        return lambda: self._sources.remove(drain)

    def take(self, *, unfinished: bool = False) -> tuple[LogLine, ...]:
        """Return the lines since the last call; with ``unfinished``, also text that no newline has ended yet."""
        for drain in list(self._sources):
            drain()
        if unfinished:
            for stream, text in self._open.take():
                lines = shown_lines(text)
                if any(line.strip() for line in lines):
                    self._add(stream, lines if lines[-1] else lines[:-1])
        taken = [self._lines.popleft() for _ in range(len(self._lines))]  # not until it is empty: other threads keep adding lines
        dropped, self._dropped = self._dropped, 0
        if dropped:
            taken.append(LogLine(time.time(), "detjupyter", f"{dropped:,} lines were left out: too many at once."))
        return tuple(taken)

    def _add(self, stream: str, texts: Sequence[str]) -> None:
        now, room = time.time(), max(MAX_PENDING_LINES - len(self._lines), 0)
        self._lines.extend([LogLine(now, stream, text[:MAX_LINE]) for text in texts[:room]])
        dropped = max(len(texts) - room, 0)
        self._dropped += dropped
