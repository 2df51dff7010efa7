"""Fixtures of the unit tests: a session on a toy trial."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench

from detjupyter.definition.config import Config


@pytest.fixture
def config() -> Config:
    """Return what the toy is configured with; override it to rank runs."""
    return Config()


@pytest.fixture
def behind_bytes() -> bool:
    """Return whether the session's engine is behind bytes; override it to test both."""
    return False


@pytest.fixture
def bench(tmp_path: Path, config: Config, behind_bytes: bool) -> Iterator[Bench]:
    """Make a session on a toy trial, and close it."""
    root = tmp_path / "toy"
    root.mkdir()
    bench = Bench(root, config, behind_bytes=behind_bytes)
    yield bench
    bench.adapter.gate.set()
    bench.session.close()
    assert bench.thread is None
