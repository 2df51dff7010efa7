"""The pauses between the attempts of a watcher whose work fails."""

from __future__ import annotations

import time

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


class GrowingPause:
    """The pause after a failure: it doubles with each failure in a row, up to a minute."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S
        self._over_at = 0.0

    def begin(self) -> float:
        """Begin a pause after another failure; return its length in seconds."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._over_at = time.monotonic() + pause_s
        return pause_s

    @property
    def is_over(self) -> bool:
        """Whether the next attempt is due."""
        return time.monotonic() >= self._over_at
