"""Remembers what was said, so that a log says each thing once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

T = TypeVar("T", bound=Hashable)

MAX_SAID = 1000
"""The number of different things that are remembered. Further ones are not said, so that neither memory nor the log grows without limit."""


class Once:
    """The things that were said already.

    Thread: any. It has no lock: garbage collection can run a finalizer that says something between any two lines of this code.
    """

    def __init__(self) -> None:
        self._said: dict[Hashable, object] = {}

    def is_new(self, thing: Hashable) -> bool:
        """Return whether ``thing`` is to be said now: True the first time."""
        mine = object()
        return len(self._said) < MAX_SAID and self._said.setdefault(thing, mine) is mine

    def new(self, things: Iterable[T]) -> list[T]:
        """Return those of ``things`` that are to be said now."""
        return [thing for thing in things if self.is_new(thing)]
