"""What the tests of captured output share."""

from __future__ import annotations

import _thread
import logging
import logging.config
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from detjupyter.engine.output import LogSink, uncaptured
from support.waiting import LIMIT_S


def texts(sink: LogSink) -> list[str]:
    """Return the lines that a sink gives now."""
    return [line.text for line in sink.take(unfinished=True)]


def process_functions() -> list[object]:
    """Return what a capture replaces."""
    import bdb
    import builtins
    import subprocess

    return [
        vars(threading.Thread)["start"],
        vars(logging.Logger)["addHandler"],
        vars(subprocess.Popen)["__init__"],
        vars(bdb.Bdb)["set_trace"],
        builtins.input,
        sys.breakpointhook,
        _thread.start_new_thread,
    ]


def in_cell(function: Callable[[], Any]) -> Any:
    """Call ``function`` where a cell runs: in a thread that no trial has started."""
    with uncaptured(), ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result(LIMIT_S)
