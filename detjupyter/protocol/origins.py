"""Where a command comes from."""

from __future__ import annotations

import threading
from enum import StrEnum


class Origin(StrEnum):
    """Who sent a command."""

    CELL = "cell"
    SCRIPT = "script"
    LIVE_VIEW = "live_view"
    PANEL = "panel"
    TRIAL = "trial"
    SEARCHER = "searcher"


_default = Origin.SCRIPT


def set_default_origin(origin: Origin) -> None:
    """Set the origin of calls of the Python API in this process: a notebook's cells, or a script."""
    global _default
    _default = origin


def default_origin() -> Origin:
    """Return the origin of a call of the Python API: the trial's own code in an engine's thread, else a cell or a script."""
    return Origin.TRIAL if getattr(_here, "is_engine", False) else _default


def mark_engine_thread() -> None:
    """Mark this thread as running a trial's code: the commands that it sends come from the trial."""
    _here.is_engine = True


class _Here(threading.local):
    is_engine = False


_here = _Here()
