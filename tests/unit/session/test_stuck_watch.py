"""The watch over an engine that does not report."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from itertools import count

from support.finalizers import Finalizer, run_with
from support.waiting import wait_until

from detjupyter.session.stuck_watch import StuckWatch


def make_watch(name: str) -> StuckWatch:
    """Return a watch over an engine that has just reported."""
    return StuckWatch(name, lambda: 0.0, lambda: "", lambda _: None)


def threads_of(name: str) -> list[threading.Thread]:
    """Return the threads that watch."""
    return [thread for thread in threading.enumerate() if thread.name == f"detjupyter {name} watch"]


def test_a_finalizer_may_send_a_command_while_another_is_counted() -> None:
    """It runs in the thread that counts, before any line: no thread waits for itself, one watch runs, and it ends with the last answer."""
    for at in count(1):
        watch, name = make_watch(f"at-{at}"), f"at-{at}"
        first, second = Future[None](), Future[None]()
        finalizer = Finalizer(lambda watch=watch, second=second: watch.over(second), at=at)  # type: ignore[misc]
        finalizer.calls += 1  # there is no line `at` in the last round
        run_with(finalizer, lambda watch=watch, first=first: watch.over(first).set_result(None))  # type: ignore[misc]
        if finalizer.calls == 1:
            break
        wait_until(lambda name=name: len(threads_of(name)) == 1)  # type: ignore[misc]
        second.set_result(None)
        wait_until(lambda name=name: not threads_of(name))  # type: ignore[misc]
    assert at > 10
