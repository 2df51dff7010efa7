"""Commands that views send: in order, and recorded, also where a run has to be begun for them."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.bench import Bench
from support.waiting import LIMIT_S

from detjupyter.errors import CheckpointError, SessionBusyError
from detjupyter.protocol.commands import RestoreListed, Step, Stop, Validate
from detjupyter.protocol.origins import Origin

if TYPE_CHECKING:
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


class TestRestoreOfAListedCheckpoint:
    """A view names the id of a checkpoint."""

    def test_it_restores_the_checkpoint_and_is_recorded_with_its_origin(self, bench: Bench) -> None:
        """Batch count, weight and curve move back; the record has the directory, without trust."""
        bench.session.train(batches=4, wait=True)
        saved = bench.session.checkpoint()
        bench.session.train(batches=6, wait=True)
        bench.session.send(RestoreListed(saved.id), Origin.PANEL).result(LIMIT_S)
        assert bench.session.batches_trained == bench.trial.weight == 4
        assert bench.session.metrics("loss")[0].tolist() == [1, 2, 3, 4]
        bench.settle_record()
        last = bench.session.run.commands[-1]
        assert (last["command"], last["origin"], last["outcome"]) == ("restore", "panel", "done")
        assert last["arguments"] == {"path": saved.path, "trust": False}

    def test_the_checkpoint_of_an_earlier_run_of_the_definition_is_listed_too(self, bench: Bench) -> None:
        """A session that has no run yet restores it."""
        bench.session.train(batches=4, wait=True)
        saved = bench.session.checkpoint()
        bench.settle_record()
        again = Bench(bench.root, bench.config)
        again.store = bench.store
        try:
            again.session.send(RestoreListed(saved.id)).result(LIMIT_S)
            assert again.session.batches_trained == 4
        finally:
            again.session.close()

    @pytest.mark.parametrize("named", ["", "latest", "best", "..", "nothing-like-that", "directory"])
    def test_a_name_that_is_no_id_of_the_history_is_refused(self, bench: Bench, named: str) -> None:
        """Also the directory of a checkpoint, and the names that Python takes: the message has the name, and nothing changes."""
        bench.session.train(batches=4, wait=True)
        saved = bench.session.checkpoint()
        name = saved.path if named == "directory" else named
        with pytest.raises(CheckpointError, match=f"No checkpoint has the id {re.escape(repr(name))}"):
            bench.session.send(RestoreListed(name)).result(LIMIT_S)
        bench.settle_record()
        assert "restore" not in [one["command"] for one in bench.session.run.commands]

    @pytest.mark.parametrize("other", [{"entrypoint": "toy:OtherTrial"}, {"definition_root": "/elsewhere"}])
    def test_one_of_another_definition_is_refused(self, bench: Bench, other: dict[str, str]) -> None:
        """The message names the definition, the hint the way to load it."""
        bench.session.train(batches=4, wait=True)
        saved = bench.session.checkpoint()
        bench.settle_record()
        bench.store.create_run(replace(bench.session.run.record, id="other", **other))
        bench.store.add_checkpoint(replace(saved, id="other-1", run_id="other"))
        with pytest.raises(CheckpointError, match=f"'other-1' is of another definition: .*{next(iter(other.values()))}") as refused:
            bench.session.send(RestoreListed("other-1")).result(LIMIT_S)
        assert 'dj.load(from_run="other")' in (refused.value.hint or "")

    def test_a_training_refuses_it_like_any_restore(self, bench: Bench) -> None:
        """The engine has the last word, in the state in which the command takes effect."""
        saved = bench.session.checkpoint()
        bench.bring_to("paused")
        with pytest.raises(SessionBusyError, match="Cannot restore a checkpoint while the session is paused"):
            bench.session.send(RestoreListed(saved.id)).result(LIMIT_S)

    def test_what_is_sent_after_it_takes_effect_after_it(self, bench: Bench) -> None:
        """A thread looks the checkpoint up; a step waits for that."""
        bench.session.train(batches=4, wait=True)
        saved = bench.session.checkpoint()
        bench.session.train(batches=6, wait=True)
        restored = bench.session.send(RestoreListed(saved.id))
        bench.session.send(Step(1)).result(LIMIT_S)
        restored.result(LIMIT_S)
        assert bench.session.batches_trained == 5
