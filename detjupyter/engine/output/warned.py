"""The warnings of one trial that are not emitted yet."""

from __future__ import annotations

from collections import deque

from detjupyter.engine.once import Once
from detjupyter.protocol.events import Until, Warned
from detjupyter.text import shortened

MAX_CHARACTERS = 1000
"""The middle of a longer warning is left out, since every view of the session contains it."""


class NewWarnings:
    """Warnings that wait to be emitted, the same text once until what ends it.

    Thread: any; without a lock, for the reason that :class:`~detjupyter.engine.output.sink.OpenLines` has none.
    """

    def __init__(self) -> None:
        self._once = {until: Once() for until in Until}
        self._new: deque[Warned] = deque()

    def add(self, text: str, until: Until) -> Warned | None:
        """Add a warning, and return it; None if the same one was added before."""
        warned = Warned(shortened(text, MAX_CHARACTERS), until)
        if not self._once[until].is_new(warned.text):
            return None
        self._new.append(warned)
        return warned

    def take(self) -> list[Warned]:
        """Return the warnings since the last call."""
        return [self._new.popleft() for _ in range(len(self._new))]

    def end(self, until: Until) -> None:
        """Accept again the warnings that ``until`` ends."""
        for ended in until.ends:
            self._once[ended] = Once()
