"""A function of the user is called when a training has ended."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.waiting import LIMIT_S, wait_until

from detjupyter.errors import ArgumentError, SessionBusyError, TrialError

if TYPE_CHECKING:
    from support.definition import Definition


class Calls:
    """Keeps the session's state at each call."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def __call__(self, session: Any) -> None:
        """Note one."""
        self.seen.append((session.state, session.batches_trained))


def test_it_is_called_once_at_the_end_with_the_session(line: Definition) -> None:
    """Also for a training that ends at once; the next training without it does not call it again."""
    session, calls = line.load(), Calls()
    session.train(batches=3, on_done=calls, wait=True)
    wait_until(lambda: calls.seen)
    session.train(batches=2, wait=True)
    session.train(batches=1, on_done=calls)
    wait_until(lambda: len(calls.seen) == 2)
    assert calls.seen == [("finished", 3), ("finished", 6)]


@pytest.mark.parametrize("how", ["stop", "close", "pause"])
def test_any_end_counts_and_a_pause_does_not(line: Definition, how: str) -> None:
    """Stopped, or closed: called. Paused and resumed: called at the end only."""
    session, calls = line.load(), Calls()
    session.train(batches=100_000, on_done=calls)
    if how == "pause":
        session.pause()
        session.resume()
        assert calls.seen == []
        session.stop()
    else:
        getattr(session, how)()
    wait_until(lambda: calls.seen)
    assert [state for state, _ in calls.seen] == ["stopped"]


def test_a_failed_training_counts(line: Definition) -> None:
    """The function sees the state; the error is raised where it was."""
    line.edit("loss = ((self.model(x) - y) ** 2).mean()\n        self", "loss = 1 / 0\n        self")
    session, calls = line.load(), Calls()
    with pytest.raises(TrialError):
        session.train(batches=2, on_done=calls, wait=True)
    wait_until(lambda: calls.seen)
    assert calls.seen == [("failed", 0)]


def test_it_can_train_on(line: Definition) -> None:
    """It runs in a thread of its own, which may use every command."""
    session, ended = line.load(), threading.Event()

    def again(session: Any) -> None:
        if session.batches_trained < 6:
            session.train(batches=2, on_done=again)
        else:
            ended.set()

    session.train(batches=2, on_done=again)
    assert ended.wait(LIMIT_S)
    assert session.batches_trained == 6


def test_a_training_after_a_step_counts_and_a_step_does_not(line: Definition) -> None:
    """A step leaves the session paused, from where the training begins; a step in a training, too, changes nothing."""
    session, calls = line.load(), Calls()
    session.step(1)
    session.train(batches=2, on_done=calls, wait=True)
    wait_until(lambda: calls.seen)
    assert calls.seen == [("finished", 3)]
    session.train(batches=100_000, on_done=calls)
    session.pause()
    session.step(2)
    session.resume()
    assert len(calls.seen) == 1
    session.stop()
    wait_until(lambda: len(calls.seen) == 2)
    session.step(1)
    assert len(calls.seen) == 2


def test_a_refused_training_calls_nothing(line: Definition) -> None:
    """Neither now nor at the end of the training that refused it."""
    session, calls, refused = line.load(), Calls(), Calls()
    session.train(batches=100_000, on_done=calls)
    with pytest.raises(SessionBusyError):
        session.train(batches=1, on_done=refused)
    session.stop()
    wait_until(lambda: calls.seen)
    session.train(batches=1, wait=True)
    assert (len(calls.seen), refused.seen) == (1, [])


def test_a_refused_training_does_not_take_the_place_of_the_one_that_is_paused(line: Definition) -> None:
    """Even if the session pauses and resumes while it is refused."""
    session, calls, refused, ended = line.load(), Calls(), Calls(), threading.Event()
    session.train(batches=1_000_000, on_done=calls)

    def intrude() -> None:
        while not ended.is_set():
            with suppress(SessionBusyError):
                session.train(batches=1, on_done=refused)

    intruder = threading.Thread(target=intrude)
    intruder.start()
    for _ in range(10):
        session.pause()
        session.resume()
    ended.set()
    intruder.join()
    session.stop()
    wait_until(lambda: calls.seen)
    assert refused.seen == []


def test_of_two_trainings_that_begin_at_once_the_refused_one_calls_nothing(line: Definition) -> None:
    """Whichever of the two threads is first."""
    session, begun = line.load(), []
    for _ in range(10):
        calls = Calls(), Calls()
        barrier = threading.Barrier(2)

        def begin(mine: Calls, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(LIMIT_S)
            with suppress(SessionBusyError):
                session.train(batches=100_000, on_done=mine)
                begun.append(mine)

        threads = [threading.Thread(target=begin, args=(mine,)) for mine in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        session.stop()
        wait_until(lambda: begun[-1].seen)
        assert [len(one.seen) for one in calls] == [one is begun[-1] for one in calls]
    assert len(begun) == 10


@pytest.mark.parametrize("wrong", [5, "done", []])
def test_what_is_not_a_function_is_refused_before_the_training(line: Definition, wrong: Any) -> None:
    """And not only at its end, in a thread that only prints."""
    session = line.load()
    with pytest.raises(ArgumentError, match="on_done must be a function"):
        session.train(batches=1, on_done=wrong)
    assert session.batches_trained == 0
