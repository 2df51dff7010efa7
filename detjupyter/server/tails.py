"""The curves and the log of a watched run, and the part that each browser has received."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from detjupyter.protocol.messages import FailureRecord, HistoryWatched, LogMessage, SeriesMessage
from detjupyter.protocol.records import LogLine, SeriesPatch
from detjupyter.store.lineage import add_curves, ancestors

if TYPE_CHECKING:
    from detjupyter.protocol.states import Group
    from detjupyter.store.base import Store
    from detjupyter.store.series import Cursor

LOG_LINES = 2_000
# A browser parses a message in one go and draws no frame in that time: about two milliseconds for so many points.
POINTS_PER_MESSAGE = 10_000


class RunTail:
    """The curves of one run, bounded by decimation, and its last log lines, shared by all browsers that watch it.

    Thread: one at a time.
    """

    def __init__(self, run_id: str) -> None:
        # imports a compiled library, which a server without curves never needs
        from detjupyter.store.series import SessionCurves

        self.run_id = run_id
        self.board = SessionCurves()
        self.lines: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.lines_read = 0
        self._has_begun = False
        self._series_cursor = 0
        self._log_cursor = 0

    def read(self, store: Store) -> None:
        """Add the points and lines written since the last call; at the first one also the points of the runs that this one continues.

        Raises:
            RunNotFoundError: The run was deleted.
        """
        if not self._has_begun:
            self._has_begun = True
            add_curves(self.board, store, ancestors(store, self.run_id))
        self._series_cursor, pieces = store.series_since(self.run_id, self._series_cursor)
        for group, name, batches, values in pieces:
            self.board.extend(group, name, batches, values)
        self._log_cursor, lines = store.log(self.run_id, self._log_cursor, last=LOG_LINES)
        self.lines.extend(lines)
        self.lines_read += len(lines)


class Subscription:
    """The part of a watched run that one browser has received.

    Args:
        run_id: The run.
        number: The number that the browser gave to this watch.
    """

    def __init__(self, run_id: str, number: int = 0) -> None:
        self.run_id = run_id
        self._number = number
        self.is_reported_gone = False
        self._cursors: dict[tuple[Group, str], Cursor] = {}
        self._lines_seen = 0
        self._is_new = True
        self._failure: FailureRecord | None = None

    def restart(self) -> None:
        """Send everything from the start again: after a failure the run is read by a new `RunTail`, at whose points no cursor is."""
        self._cursors, self._lines_seen, self._is_new = {}, 0, True

    def fail(self, failure: FailureRecord) -> list[HistoryWatched]:
        """Return the message that the run cannot be read, unless the browser has received it."""
        if failure == self._failure:
            return []
        self._failure = failure
        return [HistoryWatched(self.run_id, failure, self._number)]

    def messages(self, tail: RunTail) -> list[SeriesMessage | LogMessage | HistoryWatched]:
        """Return the messages that the browser needs, and count them as received. The first call always returns a series message."""
        messages: list[SeriesMessage | LogMessage | HistoryWatched] = []
        if self._failure is not None:
            self._failure = None
            self.restart()
            messages.append(HistoryWatched(self.run_id, None, self._number))
        patches = tail.board.patches(self._cursors)
        if patches or self._is_new:
            messages += (SeriesMessage(self.run_id, part, self._number) for part in _parts(patches))
        self._is_new = False
        unseen = min(tail.lines_read - self._lines_seen, len(tail.lines))
        if unseen:
            messages.append(LogMessage(self.run_id, tuple(tail.lines)[-unseen:], self._number))
        self._lines_seen = tail.lines_read
        return messages


def _parts(patches: list[SeriesPatch]) -> Iterator[tuple[SeriesPatch, ...]]:
    """Yield the patches in parts of few points; at least one part, which may be empty."""
    part: list[SeriesPatch] = []
    points = 0
    for patch in patches:
        if points >= POINTS_PER_MESSAGE:
            yield tuple(part)
            part, points = [], 0
        part.append(patch)
        points += len(patch.batches)
    yield tuple(part)
