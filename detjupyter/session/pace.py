"""When a recorder writes next: a few times a second, less often if writing is slow, and with growing pauses while it fails."""

from __future__ import annotations

FLUSH_INTERVAL_S = 0.5
"""A killed kernel loses the data of at most this time (and metrics that were not reported yet)."""
FLUSH_SHARE = 0.1
"""The maximum share of the time spent on writing; runs with very many metrics are therefore written less often."""
LONGEST_INTERVAL_S = 10.0
LONGEST_PAUSE_S = 30.0
"""The longest pause between attempts to write to a failing store; pauses start at ``FLUSH_INTERVAL_S`` and double each time."""


class Pace:
    """The times of the next flush and of the next attempt. All times are from ``time.monotonic()``.

    Thread: not locked; the caller holds its own lock during every call.

    Attributes:
        failures: The number of failed attempts since the last successful one.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._next_flush = self._next_attempt = 0.0

    def due_at(self, *, is_asked: bool, is_hurried: bool) -> float:
        """Return when to write.

        Args:
            is_asked: Whether a flush was requested: a working store is written at once.
            is_hurried: Whether to try a failing store at once, too.
        """
        if self.failures:
            return 0.0 if is_hurried else self._next_attempt
        return 0.0 if is_asked else self._next_flush

    def note_failure(self, began: float) -> None:
        """Record a failed attempt. The pause counts from its start, because the attempt may already have waited for a lock."""
        self._next_attempt = began + min(FLUSH_INTERVAL_S * 2 ** min(self.failures, 10), LONGEST_PAUSE_S)
        self.failures += 1

    def note_success(self, began: float, ended: float) -> None:
        """Record a successful attempt."""
        self._next_flush = ended + min(max(FLUSH_INTERVAL_S, (ended - began) / FLUSH_SHARE), LONGEST_INTERVAL_S)
        self.failures = 0
