"""A trial's thread, a cell's stream, and the log of a trial."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support.captures import process_functions
from support.engine_thread import EngineThread

from detjupyter.engine.output import LogSink, close_capture


@pytest.fixture
def engine() -> Iterator[EngineThread]:
    """Return the thread of a trial."""
    with EngineThread() as engine:
        yield engine


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> io.StringIO:
    """Return the stream that the cells print to: during the test it represents all streams of the process."""
    stream = io.StringIO()
    test = request.node.obj

    def run(**arguments: Any) -> None:  # pytest sets its own streams again after the fixtures
        with pytest.MonkeyPatch.context() as patch:
            for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
                patch.setattr(sys, name, stream)
            test(**arguments)

    request.node.obj = run
    return stream


@pytest.fixture
def sink(cell: io.StringIO) -> Iterator[LogSink]:
    """Return a sink that is closed after the test, with all that it changed."""
    sink = LogSink()
    before = process_functions()
    yield sink
    close_capture(sink)
    assert process_functions() == before
    assert "write" not in vars(cell)
