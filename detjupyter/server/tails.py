"""The curves and the log of a run that somebody watches, and how far each watcher has got."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from detjupyter.protocol.messages import LogMessage, SeriesMessage
from detjupyter.protocol.records import LogLine

if TYPE_CHECKING:
    from detjupyter.protocol.states import Group
    from detjupyter.store.base import Store
    from detjupyter.store.series import Cursor

LOG_LINES = 2_000


class RunTail:
    """The curves of one run, bounded by decimation, and its last lines, shared by all who watch it.

    Thread: one at a time.
    """

    def __init__(self, run_id: str) -> None:
        # imports a compiled library, which a server that shows no curve never needs
        from detjupyter.store.series import SeriesBoard

        self.run_id = run_id
        self.board = SeriesBoard()
        self.lines: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.lines_read = 0
        self._series_cursor = 0
        self._log_cursor = 0

    def read(self, store: Store) -> None:
        """Take in what was written since the last time.

        Raises:
            RunNotFoundError: the run is gone.
        """
        self._series_cursor, pieces = store.series_since(self.run_id, self._series_cursor)
        for group, name, batches, values in pieces:
            self.board.extend(group, name, batches, values)
        self._log_cursor, lines = store.log(self.run_id, self._log_cursor, last=LOG_LINES)
        self.lines.extend(lines)
        self.lines_read += len(lines)


class Subscription:
    """What one browser has seen of the run it watches."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.is_told_gone = False
        self._cursors: dict[tuple[Group, str], Cursor] = {}
        self._lines_seen = 0
        self._is_new = True

    def messages(self, tail: RunTail) -> list[SeriesMessage | LogMessage]:
        """Return what the browser lacks, and count it as seen; the first time there is a series message even without a curve."""
        messages: list[SeriesMessage | LogMessage] = []
        patches = tail.board.patches(self._cursors)
        if patches or self._is_new:
            messages.append(SeriesMessage(run_id=self.run_id, patches=tuple(patches)))
        self._is_new = False
        unseen = min(tail.lines_read - self._lines_seen, len(tail.lines))
        if unseen:
            messages.append(LogMessage(run_id=self.run_id, lines=tuple(tail.lines)[-unseen:]))
        self._lines_seen = tail.lines_read
        return messages
