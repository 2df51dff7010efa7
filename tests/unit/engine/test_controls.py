"""Pause, resume, step, stop, validate, checkpoint: what each does in each state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.bench import LONG, Bench, Held
from support.waiting import LIMIT_S

from detjupyter.errors import LengthError, ProtocolError, SessionBusyError, SessionError, TrialError
from detjupyter.protocol.commands import CommandMessage, ForceClose, MakeCheckpoint, Pause, Resume, Step, Stop, Train, Validate
from detjupyter.protocol.lengths import Batch, Epoch, Length, Records
from detjupyter.protocol.states import State

REFUSED = "refused"


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test twice: on the engine itself, and on one behind bytes."""
    return bool(request.param)


@pytest.mark.parametrize(
    ("command", "state", "then"),
    [
        ("pause", "ready", REFUSED),
        ("pause", "running", "paused"),
        ("pause", "paused", "paused"),
        ("pause", "finished", REFUSED),
        ("pause", "stopped", REFUSED),
        ("pause", "failed", REFUSED),
        ("resume", "ready", REFUSED),
        ("resume", "running", "running"),
        ("resume", "paused", "running"),
        ("resume", "finished", REFUSED),
        ("resume", "stopped", REFUSED),
        ("resume", "failed", REFUSED),
        *(("step", state, "paused") for state in ("ready", "running", "paused", "finished", "stopped", "failed")),
        ("stop", "ready", "ready"),
        ("stop", "running", "stopped"),
        ("stop", "paused", "stopped"),
        ("stop", "finished", "finished"),
        ("stop", "stopped", "stopped"),
        ("stop", "failed", "failed"),
        *((what, state, state) for what in ("validate", "checkpoint") for state in ("ready", "paused", "finished", "stopped", "failed")),
        ("validate", "running", "running"),
        ("checkpoint", "running", "running"),
        *(("train", state, "running") for state in ("ready", "finished", "stopped", "failed")),
        ("train", "running", REFUSED),
        ("train", "paused", REFUSED),
    ],
)
def test_each_control_in_each_state(bench: Bench, command: str, state: str, then: str) -> None:
    """A control works, changes nothing, or is refused with the state and a next step; the history says the same."""
    bench.bring_to(state)
    call: Callable[[], Any] = (lambda: bench.session.train(batches=LONG)) if command == "train" else getattr(bench.session, command)
    if then == REFUSED:
        with pytest.raises(SessionError) as refusal:
            call()
        assert refusal.value.state == state
        assert refusal.value.hint
        then = state
    else:
        call()
    assert bench.session.state == then
    assert bench.session.record().state.value == then
    if bench.session.run is not None:
        assert bench.session.run.state == then


def _hold_validation(bench: Bench) -> tuple[threading.Event, threading.Event]:
    """Hold the next validation, a long one, in its first batch; return what says that it is reached, and what lets it continue."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        reached.set()
        go_on.wait(LIMIT_S)

    bench.adapter.on_validation_batch = hold
    bench.adapter.validation_batches = LONG
    return reached, go_on


class TestPausing:
    """Paused between two batches."""

    def test_nothing_is_trained_while_it_is_held(self, bench: Bench) -> None:
        """No batch is lost when it is resumed."""
        bench.bring_to("paused")
        held_at = bench.session.batches_trained
        assert bench.between_batches(lambda trial: trial.weight) == held_at
        bench.session.step(2)
        assert bench.session.batches_trained == held_at + 2
        assert bench.adapter.calls[: held_at + 2] == [f"batch {index}" for index in range(held_at + 2)]

    def test_the_last_batch_shows(self, bench: Bench) -> None:
        """The metrics of every batch so far can be read as soon as pause() returns."""
        bench.bring_to("paused")
        batches, values = bench.session.metrics("loss")
        assert batches[-1] == len(batches) == bench.session.batches_trained
        assert values[-1] == 1 / bench.session.batches_trained

    def test_the_thread_stays_while_paused_and_beats(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """The history gets regular signs of life of a paused session, so that its kernel does not count as dead."""
        monkeypatch.setattr("detjupyter.engine.driver.HEARTBEAT_S", 0.01)
        bench.bring_to("paused")
        beaten = threading.Event()
        update, seen = bench.store.update_run, []

        def count(*args: Any, **kwargs: Any) -> None:
            update(*args, **kwargs)
            seen.append(kwargs["state"])
            if len(seen) >= 3:
                beaten.set()

        monkeypatch.setattr(bench.store, "update_run", count)
        assert beaten.wait(LIMIT_S)
        assert set(seen) == {State.PAUSED}

    def test_a_paused_training_goes_on_to_its_end(self, bench: Bench) -> None:
        """The plan keeps its target over pauses."""
        bench.adapter.gate.clear()
        bench.session.train(batches=6)
        bench.adapter.wait_at_gate()
        paused = bench.session.send(Pause())
        bench.adapter.gate.set()
        paused.result(LIMIT_S)
        assert bench.session.batches_trained == 1
        bench.session.resume()
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.session.batches_trained == 6
        assert bench.states() == ["running", "paused", "running", "finished"]


class TestStepping:
    """A few batches, then paused."""

    def test_a_step_beside_any_training_leaves_nothing_to_resume(self, bench: Bench) -> None:
        """It is not the end of a training: no validation, no checkpoint, and a training can begin."""
        bench.session.step(3)
        assert bench.session.batches_trained == 3
        assert "validate" not in bench.adapter.calls
        with pytest.raises(SessionError, match="no training to resume"):
            bench.session.resume()
        bench.session.train(batches=1, wait=True)
        assert bench.session.state == "finished"

    def test_a_step_within_a_training_keeps_the_training(self, bench: Bench) -> None:
        """After it, resume continues to the target."""
        bench.adapter.gate.clear()
        bench.session.train(batches=10)
        bench.adapter.wait_at_gate()
        step = bench.session.send(Step(4))
        bench.adapter.gate.set()
        step.result(LIMIT_S)
        assert bench.session.batches_trained == 5  # the batch under way, and four more
        bench.session.resume()
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.session.batches_trained == 10

    def test_a_step_over_the_target_ends_with_the_training(self, bench: Bench) -> None:
        """There are no batches beyond the target of a training."""
        bench.bring_to("ready")
        bench.adapter.gate.clear()
        bench.session.train(batches=3)
        bench.adapter.wait_at_gate()
        step = bench.session.send(Step(50))
        bench.adapter.gate.set()
        step.result(LIMIT_S)
        assert (bench.session.state, bench.session.batches_trained) == ("finished", 3)

    @pytest.mark.parametrize("at_the_end", ["on_validation_batch", "on_save"], ids=["validating", "saving"])
    def test_a_step_after_the_last_batch_of_a_training_trains_its_batches(self, bench: Bench, at_the_end: str) -> None:
        """While the training validates, or its files are being written: it ends, and then the step begins."""
        held = Held()
        setattr(bench.adapter, at_the_end, held)
        bench.session.train(batches=3)
        held.wait()
        steps = [bench.session.send(Step(count)) for count in (2, 5)]
        held.may_continue.set()
        for step in steps:
            step.result(LIMIT_S)
        assert (bench.session.state, bench.session.batches_trained) == ("paused", 8)
        assert bench.states() == ["running", "finished", "running", "paused"]
        answered = [(answer.at_batch, answer.answered_at_batch) for answer in bench.answers() if answer.command == "step"]
        assert answered == [(3, 8), (3, 8)]

    def test_two_steps_at_once_give_each_their_batches(self, bench: Bench) -> None:
        """A short step that arrives during a long one does not shorten it."""
        bench.adapter.gate.clear()
        long = bench.session.send(Step(10))
        bench.adapter.wait_at_gate()
        short = bench.session.send(Step(1))
        bench.adapter.gate.set()
        long.result(LIMIT_S)
        short.result(LIMIT_S)
        assert bench.session.batches_trained == 10

    def test_a_long_step_that_comes_into_a_short_one_gets_its_batches(self, bench: Bench) -> None:
        """The short one does not end it, whether there is a training around them or not."""
        for within_a_training in (False, True):
            before = bench.session.batches_trained
            bench.adapter.gate.clear()
            if within_a_training:
                bench.session.train(batches=100)
            short = bench.session.send(Step(2))
            bench.adapter.wait_at_gate()
            long = bench.session.send(Step(10))
            bench.adapter.gate.set()
            short.result(LIMIT_S)
            long.result(LIMIT_S)
            assert bench.session.batches_trained == before + 11  # the batch under way, and ten more
            assert bench.session.state == "paused"

    def test_who_steps_gets_an_answer_though_somebody_resumes(self, bench: Bench) -> None:
        """The training is not paused at the end of the step then."""
        bench.adapter.gate.clear()
        bench.session.train(batches=50)
        bench.adapter.wait_at_gate()
        step, resumed = bench.session.send(Step(4)), bench.session.send(Resume())
        bench.adapter.gate.set()
        resumed.result(LIMIT_S)
        step.result(LIMIT_S)
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.session.batches_trained == 50

    def test_a_step_that_is_paused_leaves_nothing_to_resume(self, bench: Bench) -> None:
        """Outside of a training the step ends there, and its sender gets an error at once."""
        bench.adapter.gate.clear()
        step = bench.session.send(Step(1000))
        bench.adapter.wait_at_gate()
        paused = bench.session.send(Pause())
        bench.adapter.gate.set()
        paused.result(LIMIT_S)
        step.result(LIMIT_S)
        assert (bench.session.state, bench.session.batches_trained) == ("paused", 1)
        with pytest.raises(SessionError, match="no training to resume"):
            bench.session.resume()

    @pytest.mark.parametrize("n", [0, -1, 1.5, True])
    def test_a_step_is_at_least_one_batch(self, bench: Bench, n: Any) -> None:
        """The message names the value."""
        with pytest.raises(LengthError, match=f"not {n!r}"):
            bench.session.step(n)

    def test_a_stop_ends_a_step_for_whoever_waits(self, bench: Bench) -> None:
        """Its sender gets the error that it was stopped."""
        bench.adapter.gate.clear()
        step = bench.session.send(Step(10))
        bench.adapter.wait_at_gate()
        stop = bench.session.send(Stop())
        bench.adapter.gate.set()
        stop.result(LIMIT_S)
        with pytest.raises(SessionError, match="Canceled: the session was stopped"):
            step.result(LIMIT_S)

    def test_a_pause_ends_a_step_without_an_error(self, bench: Bench) -> None:
        """A step leads to a pause, so a pause is not an error for it."""
        bench.adapter.gate.clear()
        step = bench.session.send(Step(10))
        bench.adapter.wait_at_gate()
        pause = bench.session.send(Pause())
        bench.adapter.gate.set()
        pause.result(LIMIT_S)
        step.result(LIMIT_S)
        assert bench.session.batches_trained == 1


class TestValidatingAndSaving:
    """Commands during a training."""

    def test_a_validation_goes_between_two_batches_and_the_training_goes_on(self, bench: Bench) -> None:
        """It has the weights of one moment."""
        bench.adapter.gate.clear()
        bench.session.train(batches=5)
        bench.adapter.wait_at_gate()
        validation = bench.session.send(Validate())
        bench.adapter.gate.set()
        assert validation.result(LIMIT_S) == {"error": 1 / 2}
        assert bench.session.wait(LIMIT_S) == "finished"
        batches, values = bench.session.metrics("error", "validation")
        assert (batches.tolist(), values.tolist()) == ([1, 5], [1 / 2, 1 / 6])

    def test_asking_twice_validates_once(self, bench: Bench) -> None:
        """Both callers get the same result."""
        bench.train_to_gate()
        futures = [bench.session.send(Validate()), bench.session.send(Validate())]
        bench.adapter.gate.set()
        assert futures[0].result(LIMIT_S) == futures[1].result(LIMIT_S)
        assert bench.adapter.calls.count("validate") == 1

    def test_a_stop_aborts_a_validation(self, bench: Bench) -> None:
        """Its sender gets an error, and the session no longer shows a validation, with or without a training."""
        reached, go_on = _hold_validation(bench)
        validation = bench.session.send(Validate())
        assert reached.wait(LIMIT_S)
        stop = bench.session.send(Stop())
        go_on.set()
        stop.result(LIMIT_S)
        with pytest.raises(SessionError, match="Canceled: the session was stopped"):
            validation.result(LIMIT_S)
        assert bench.adapter.calls == ["validate", "validation over"]
        record = bench.session.record()
        assert (record.state.value, record.activity.value, record.validation_total) == ("ready", "idle", None)

    def test_a_stop_ends_the_validation_at_the_end_of_a_training(self, bench: Bench) -> None:
        """Stop acts within one batch of a validation, too."""
        reached, go_on = _hold_validation(bench)
        bench.session.train(batches=1)
        assert reached.wait(LIMIT_S)
        stop = bench.session.send(Stop())
        go_on.set()
        stop.result(LIMIT_S)
        assert bench.session.state == "stopped"
        assert bench.adapter.calls[-1] == "validation over"

    def test_a_checkpoint_is_of_the_moment_it_was_asked_for(self, bench: Bench) -> None:
        """It is saved after the current batch and before the next."""
        bench.adapter.gate.clear()
        bench.session.train(batches=5)
        bench.adapter.wait_at_gate()
        saving = bench.session.send(MakeCheckpoint())
        bench.adapter.gate.set()
        assert saving.result(LIMIT_S).batches_trained == 1
        bench.session.wait(LIMIT_S)
        assert bench.session.run is not None
        assert [saved.batches_trained for saved in bench.session.run.checkpoints()] == [1, 5]

    def test_a_validation_asked_for_at_the_end_is_not_repeated(self, bench: Bench) -> None:
        """What is known is not computed twice."""
        bench.session.step(2)
        bench.session.validate()
        bench.session.train(batches=1, wait=True)
        batches, _ = bench.session.metrics("error", "validation")
        assert batches.tolist() == [2, 3]


class TestTrainingTwice:
    """One training at a time, one after the other."""

    def test_a_second_training_is_refused_while_one_runs(self, bench: Bench) -> None:
        """The error names the current batch of the first training and the next step, and the training is not affected."""
        bench.train_to_gate()
        with pytest.raises(SessionBusyError) as refusal:
            bench.session.train(epochs=1)
        assert "running, at batch 0" in refusal.value.message
        assert "session.stop()" in (refusal.value.hint or "")
        assert "session.pause()" not in (refusal.value.hint or ""), "a paused session refuses it, too"
        assert bench.session.state == "running"

    def test_the_next_training_adds_to_the_last(self, bench: Bench) -> None:
        """One run, one curve."""
        bench.session.train(batches=3, wait=True)
        bench.session.train(epochs=1, wait=True)
        assert bench.session.batches_trained == 13
        assert bench.session.metrics("loss")[0].tolist() == list(range(1, 14))
        assert len(bench.store.runs()) == 1

    def test_a_length_that_makes_no_sense_is_refused_at_once(self, bench: Bench) -> None:
        """Nothing begins."""
        with pytest.raises(LengthError, match="exactly one"):
            bench.session.train()
        assert bench.session.state == "ready"
        assert bench.session.run is None

    @pytest.mark.parametrize("state", ["ready", "paused after a step", "finished", "stopped"])
    def test_epochs_of_data_without_a_length_are_refused(self, bench: Bench, state: str) -> None:
        """Only the data loader knows; the state is then as before, and the record says that nothing was done."""
        bench.adapter.per_epoch = None
        if state == "paused after a step":
            bench.session.step()
        else:
            bench.bring_to(state)
        before, trained = bench.session.state, bench.session.batches_trained
        with pytest.raises(LengthError, match="no known length"):
            bench.session.train(epochs=1)
        assert (bench.session.state, bench.session.batches_trained) == (before, trained)
        assert bench.answers()[-1].outcome == "refused"
        bench.session.train(batches=2, wait=True)
        assert bench.session.state == "finished"

    def test_a_batch_size_that_is_not_known_refuses_a_length_in_records(self, bench: Bench) -> None:
        """As for epochs."""
        bench.adapter.records_per_batch = None
        with pytest.raises(LengthError, match="no batch_size"):
            bench.session.train(records=8)
        assert bench.session.state == "ready"
        assert bench.answers()[-1].outcome == "refused"

    @pytest.mark.parametrize("length", [Batch(2), Epoch(1), Records(40)])
    def test_a_length_in_total_that_is_trained_is_refused(self, bench: Bench, length: Length) -> None:
        """The state does not change, because everything is already known; an empty training can still be requested."""
        bench.session.train_as(Train(length, in_total=True), wait=True)
        states, trained = bench.states(), bench.session.batches_trained
        with pytest.raises(LengthError, match="already trained"):
            bench.session.train_as(Train(length, in_total=True))
        assert bench.answers()[-1].outcome == "refused"
        bench.session.train_as(Train(length, in_total=True, ends_if_reached=True), wait=True)
        assert (bench.states(), bench.session.batches_trained) == ([*states, "running", "finished"], trained)

    def test_an_error_of_the_data_fails_a_training_in_epochs(self, bench: Bench) -> None:
        """It is the user's code that raises, so the training has begun."""
        bench.adapter.on_data = _no_data
        bench.session.train(epochs=1)
        with pytest.raises(TrialError, match="no data"):
            bench.session.wait(LIMIT_S)
        assert bench.states() == ["running", "failed"]

    def test_many_short_trainings_in_a_row_all_end(self, bench: Bench) -> None:
        """The thread that ends and the training that begins never miss each other."""
        for count in range(1, 101):
            bench.session.train(batches=1)
            assert bench.session.state in ("running", "finished")
            assert bench.session.wait(LIMIT_S) == "finished"
            assert bench.session.batches_trained == count
        assert bench.states() == ["running", "finished"] * 100

    def test_a_training_can_begin_at_the_very_moment_another_ends(self, bench: Bench) -> None:
        """A user who starts again as soon as a view shows the end is not overtaken by the remaining events of the first training."""
        deadline = time.monotonic() + LIMIT_S
        for count in range(1, 51):
            bench.session.train(batches=1)
            while bench.session.record().state is not State.FINISHED:
                assert time.monotonic() < deadline
            assert bench.session.batches_trained == count
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.states() == ["running", "finished"] * 50


class TestWhatIsNoCommand:
    """Sent by mistake, in Python."""

    @pytest.mark.parametrize("command", ["pause", None, Pause, {"kind": "pause"}, ForceClose()], ids=repr)
    def test_it_is_refused_and_the_engine_lives_on(self, bench: Bench, command: Any) -> None:
        """The future has the error, which names the commands there are; the trial and its weights stay."""
        bench.session.step()
        sent = bench.engine.send(CommandMessage(command)) if isinstance(command, ForceClose) else bench.session.send(command)
        error = sent.exception(LIMIT_S)
        assert isinstance(error, ProtocolError)
        assert "MakeCheckpoint" in (error.hint or "")
        bench.session.step()
        assert bench.between_batches(lambda trial: trial.weight) == 2

    @pytest.mark.parametrize("command", [Train("10"), Train(Batch(2), validate_every="each"), Step("5")], ids=repr)
    def test_an_argument_of_another_type_is_refused(self, bench: Bench, command: Any) -> None:
        """With the value; nothing begins."""
        error = bench.session.send(command).exception(LIMIT_S)
        assert isinstance(error, LengthError)
        assert any(value in error.message for value in ("'10'", "'each'", "'5'"))
        assert bench.session.state == "ready"


def _no_data() -> None:
    raise OSError("no data")
