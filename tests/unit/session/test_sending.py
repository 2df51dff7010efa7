"""Commands that views send: in order, and recorded, also where a run has to be begun for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.waiting import LIMIT_S

from detjupyter.protocol.commands import Step, Stop, Validate

if TYPE_CHECKING:
    from support.bench import Bench

    from detjupyter.store.base import Store


class SlowHistory:
    """A history that opens when the test says so."""

    def __init__(self, bench: Bench) -> None:
        self.asked, self.may_open = threading.Event(), threading.Event()
        self._store: Store = bench.store
        bench.open_store = self

    def __call__(self) -> Store:
        """Open it."""
        self.asked.set()
        assert self.may_open.wait(LIMIT_S)
        return self._store


@pytest.fixture
def history(bench: Bench) -> SlowHistory:
    """Have the first command of the session wait for its run."""
    return SlowHistory(bench)


class TestOrder:
    """While the run of a first command begins."""

    def test_what_is_sent_later_takes_effect_later(self, bench: Bench, history: SlowHistory) -> None:
        """Stop does not overtake the step before it, and the validation after it comes last."""
        futures = [bench.session.send(command) for command in (Step(2), Stop(), Validate())]
        assert history.asked.wait(LIMIT_S)
        history.may_open.set()
        for future in futures:
            future.exception(LIMIT_S)
        bench.settle_record()
        assert [one["command"] for one in bench.session.run.commands] == ["step", "stop", "validate"]

    def test_a_call_of_python_keeps_its_place_too(self, bench: Bench, history: SlowHistory) -> None:
        """A cell's stop comes after the step that a view has sent before."""
        step = bench.session.send(Step(2))
        assert history.asked.wait(LIMIT_S)
        history.may_open.set()
        bench.session.stop()
        step.exception(LIMIT_S)
        bench.settle_record()
        assert [one["command"] for one in bench.session.run.commands] == ["step", "stop"]

    def test_one_that_is_cancelled_is_not_done(self, bench: Bench, history: SlowHistory) -> None:
        """A future that reports it is canceled is correct: the command behind another one never reaches the engine."""
        first, second = bench.session.send(Step(1)), bench.session.send(Step(3))
        assert history.asked.wait(LIMIT_S)
        is_cancelled = second.cancel()
        history.may_open.set()
        first.result(LIMIT_S)
        bench.session.send(Validate()).result(LIMIT_S)
        assert is_cancelled
        assert bench.session.batches_trained == 1

    def test_one_that_says_it_cannot_be_cancelled_is_done(self, bench: Bench, history: SlowHistory) -> None:
        """It is on its way: its run begins."""
        step = bench.session.send(Step(3))
        assert history.asked.wait(LIMIT_S)
        assert not step.cancel()
        history.may_open.set()
        step.result(LIMIT_S)
        assert bench.session.batches_trained == 3


def test_a_step_after_the_run_was_deleted_begins_another(bench: Bench) -> None:
    """A step that a view sends is recorded, and the new run holds nothing of before."""
    bench.session.train(batches=5, wait=True)
    first = bench.session.run
    bench.store.delete_run(first.id)
    bench.settle_record()
    bench.session.send(Step(3)).result(LIMIT_S)
    bench.settle_record()
    run = bench.session.run
    assert run.id != first.id
    assert bench.session.record().run_id == run.id
    assert run.metrics("loss")[0].tolist() == [6, 7, 8]
    assert [one["command"] for one in run.commands] == ["step"]


def test_a_session_that_could_not_be_closed_offers_nothing(bench: Bench) -> None:
    """It takes no command any more, and says so also while its batch has not ended."""
    bench.train_to_gate()
    closing = threading.Thread(target=bench.session.close)
    heard = threading.Event()
    bench.session.channel.subscribe(lambda: None if bench.session.allowed else heard.set())
    closing.start()
    assert heard.wait(LIMIT_S)
    assert bench.session.is_closed
    bench.adapter.gate.set()
    closing.join(LIMIT_S)
