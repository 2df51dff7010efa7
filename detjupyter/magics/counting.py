"""Say how far a scan has come, once it takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detjupyter.magics.line import Line
from detjupyter.magics.patience import PATIENCE_S

_REFRESH_S = 0.25


@contextmanager
def counting(doing: str) -> Iterator[Callable[[int], None]]:
    """Yield what is to be called with the number of paths so far.

    If the block takes longer than a second there is a line that follows the number, written over in place; at the end it says how long it
    took, or how far it came when it was stopped.
    """
    began = shown_at = time.monotonic()
    line: Line | None = None
    met = 0

    def count(paths: int) -> None:
        nonlocal line, shown_at, met
        met = paths
        now = time.monotonic()
        if now - shown_at < (PATIENCE_S if line is None else _REFRESH_S):
            return
        shown_at = now
        if line is None:
            line = Line()
        line.show(f"{doing} … {paths:,} paths")

    done = False
    try:
        yield count
        done = True
    finally:
        if line is not None:
            seconds = f"{time.monotonic() - began:.1f} s"
            line.end(f"{doing}: {seconds}" if done else f"{doing}: stopped after {met:,} paths, {seconds}")
