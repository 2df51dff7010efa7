"""The worker threads that OpenMP keeps for a thread which has used torch end where they would slow a training, or the cells, down."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.definition import Definition
from support.waiting import LIMIT_S, wait_until

from detjupyter.pytorch.openmp import release_workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only torch for Linux comes with GNU's OpenMP")


def workers() -> set[int]:
    """Return the ids of the threads of this process that Python does not know. Those of other tests can end late."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()} - {thread.native_id for thread in threading.enumerate()}


def compute() -> float:
    """Compute with all threads of torch, and return a sum that depends on every element."""
    return float(torch.arange(1_000_000, dtype=torch.float64).sqrt().sum())


@pytest.fixture(autouse=True)
def two_threads() -> None:
    """Let torch use one worker next to the calling thread, and begin without workers."""
    torch.set_num_threads(2)
    release_workers()


def in_thread(function: Callable[[], object]) -> threading.Event:
    """Call ``function`` in a thread that stays until the event that is returned is set; return when it has been called."""
    called, may_end = threading.Event(), threading.Event()

    def work() -> None:
        function()
        called.set()
        may_end.wait(LIMIT_S)

    threading.Thread(target=work, daemon=True).start()
    assert called.wait(LIMIT_S)
    return may_end


def test_workers_end_and_begin_again_with_the_same_result() -> None:
    """A thread that computes again gets new ones."""
    before = workers()
    first = compute()
    assert workers() - before
    release_workers()
    wait_until(lambda: not workers() - before)
    assert compute() == first
    assert workers() - before


def test_only_those_of_the_calling_thread_end() -> None:
    """A training in another thread keeps its own."""
    before = workers()
    may_end = in_thread(compute)
    theirs = workers() - before
    assert theirs
    compute()
    release_workers()
    wait_until(lambda: workers() - before == theirs)
    may_end.set()
    wait_until(lambda: not workers() - before)


def test_neither_the_caller_nor_an_idle_engine_keeps_any(line: Definition) -> None:
    """After a step requested by a thread that has computed, no worker waits, neither for that thread nor for the trial."""
    line.edit("        x, y = batch\n", "        x, y = batch\n        torch.arange(1_000_000.0).sqrt().sum()\n")
    before = workers()
    session = line.load()
    compute()
    assert workers() - before
    session.step(2)
    wait_until(lambda: not workers() - before)
    session.close()
