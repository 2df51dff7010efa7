"""Each store, and a session on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench import Bench, make_bench
from support.waiting import wait_until

from detjupyter.store import Store, open_store
from detjupyter.store.memory import MemoryStore


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test on each engine."""
    return bool(request.param)


@pytest.fixture
def bench(tmp_path: Path, behind_bytes: bool) -> Iterator[Bench]:
    """Make a session on a toy trial, and close it."""
    bench = make_bench(tmp_path / "toy", behind_bytes=behind_bytes)
    yield bench
    bench.adapter.gate.set()
    bench.session.close()
    wait_until(lambda: bench.thread is None, "the end of the engine's thread")


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return an empty store of each kind."""
    fresh = MemoryStore(tmp_path) if request.param == "memory" else open_store(tmp_path / "runs.sqlite")
    yield fresh
    fresh.close()
