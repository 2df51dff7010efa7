"""Show the progress of a scan that takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detjupyter.magics.line import Line
from detjupyter.magics.slow_notice import NOTICE_AFTER_S

_REFRESH_S = 0.25


@contextmanager
def counting(doing: str) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of paths so far.

    If the block takes longer than a second, a line shows the number and is updated in place. At the end it shows the duration, or the
    number of paths when the scan was stopped.
    """
    began = shown_at = time.monotonic()
    line: Line | None = None
    met = 0

    def count(paths: int) -> None:
        nonlocal line, shown_at, met
        met = paths
        now = time.monotonic()
        if now - shown_at < (NOTICE_AFTER_S if line is None else _REFRESH_S):
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
