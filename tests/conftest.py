"""Shared by all tests: each test has its own history, and no session of another test."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_MANY_MODULES = 50
_MANY_TESTS = 100
_modules_left_out = _tests_since = 0


def pytest_configure() -> None:
    """Have an interrupt raise KeyboardInterrupt, here and in new processes, also where a shell started the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Exclude what the collected tests consist of from garbage collections, which run at the end of every engine and would take 0.2 s."""
    _leave_out_of_collections()


def pytest_runtest_teardown() -> None:
    """Exclude a library that a test has imported, too, and what pytest keeps of each test."""
    global _tests_since
    _tests_since += 1
    if len(sys.modules) > _modules_left_out + _MANY_MODULES or _tests_since >= _MANY_TESTS:
        _leave_out_of_collections()


def _leave_out_of_collections() -> None:
    global _modules_left_out, _tests_since
    _modules_left_out, _tests_since = len(sys.modules), 0
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the test's runs in its temporary directory, and end what it left training."""
    monkeypatch.setenv("DETJUPYTER_HOME", str(tmp_path / "history"))
    yield
    loaded = sys.modules.get("detjupyter.session.registry")  # not imported for tests that need no engine
    if loaded is not None:
        loaded.registry.close_all()


@pytest.fixture
def magics_wording() -> Iterator[None]:
    """Show next steps as magics, as after ``%load_ext detjupyter``."""
    from detjupyter.next_step import Wording, set_wording

    set_wording(Wording.MAGICS)
    yield
    set_wording(Wording.PYTHON)
