"""Pause, resume, step, stop, validate, checkpoint: what each does in each state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import pytest

from detjupyter.errors import SessionBusyError, SessionError
from detjupyter.protocol.commands import MakeCheckpoint, Pause, Resume, Step, Stop, Validate
from detjupyter.protocol.states import State

if TYPE_CHECKING:
    from unit.training.conftest import Bench

LIMIT_S = 20.0
LONG = 1_000_000_000

REFUSED = "refused"


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


class TestPausing:
    """Held between two batches."""

    def test_nothing_is_trained_while_it_is_held(self, bench: Bench) -> None:
        """And going on loses no batch."""
        bench.bring_to("paused")
        held_at = bench.session.batches_trained
        assert bench.session.at_batch(lambda trial: trial.weight) == held_at
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
        """The history hears from a held session again and again, so that nobody takes its kernel for dead."""
        monkeypatch.setattr("detjupyter.training.driver.HEARTBEAT_S", 0.01)
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
    """A few batches, then held."""

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
        """After it, resume goes on to the target."""
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

    def test_two_steps_at_once_give_each_their_batches(self, bench: Bench) -> None:
        """A short step that comes in while a long one is under way does not cut it short."""
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
        """The training is not held at the end of the step then."""
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
        """Beside any training it ends there; whoever asked for it hears so at once."""
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
        with pytest.raises(SessionError, match=f"not {n!r}"):
            bench.session.step(n)

    def test_a_stop_ends_a_step_for_whoever_waits(self, bench: Bench) -> None:
        """Its caller hears that it was stopped."""
        bench.adapter.gate.clear()
        step = bench.session.send(Step(10))
        bench.adapter.wait_at_gate()
        stop = bench.session.send(Stop())
        bench.adapter.gate.set()
        stop.result(LIMIT_S)
        with pytest.raises(SessionError, match="Stopped before it was done"):
            step.result(LIMIT_S)

    def test_a_pause_ends_a_step_without_an_error(self, bench: Bench) -> None:
        """Held is what the step was to lead to."""
        bench.adapter.gate.clear()
        step = bench.session.send(Step(10))
        bench.adapter.wait_at_gate()
        pause = bench.session.send(Pause())
        bench.adapter.gate.set()
        pause.result(LIMIT_S)
        step.result(LIMIT_S)
        assert bench.session.batches_trained == 1


class TestValidatingAndSaving:
    """What is asked for beside the training."""

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
        """Whoever asked for it hears so, and the session shows no validation any more, training or not."""
        reached, go_on = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            reached.set()
            go_on.wait(LIMIT_S)

        bench.adapter.on_validation_batch = hold
        bench.adapter.validation_batches = LONG
        validation = bench.session.send(Validate())
        assert reached.wait(LIMIT_S)
        stop = bench.session.send(Stop())
        go_on.set()
        stop.result(LIMIT_S)
        with pytest.raises(SessionError, match="Stopped before it was done"):
            validation.result(LIMIT_S)
        assert bench.adapter.calls == ["validate", "validation over"]
        record = bench.session.record()
        assert (record.state.value, record.activity.value, record.validation_total) == ("ready", "idle", None)

    def test_a_stop_ends_the_validation_at_the_end_of_a_training(self, bench: Bench) -> None:
        """Stop acts within one batch of a validation, too."""
        reached, go_on = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            reached.set()
            go_on.wait(LIMIT_S)

        bench.adapter.on_validation_batch = hold
        bench.adapter.validation_batches = LONG
        bench.session.train(batches=1)
        assert reached.wait(LIMIT_S)
        stop = bench.session.send(Stop())
        go_on.set()
        stop.result(LIMIT_S)
        assert bench.session.state == "stopped"
        assert bench.adapter.calls[-1] == "validation over"

    def test_a_checkpoint_is_of_the_moment_it_was_asked_for(self, bench: Bench) -> None:
        """It comes after the batch under way and before the next."""
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
        """It says where the first stands and what to do, and does not disturb it."""
        bench.train_to_gate()
        with pytest.raises(SessionBusyError) as refusal:
            bench.session.train(epochs=1)
        assert "running, at batch 0" in refusal.value.message
        assert "%det_stop" in (refusal.value.hint or "")
        assert "%det_pause" in (refusal.value.hint or "")
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
        with pytest.raises(SessionError, match="exactly one"):
            bench.session.train()
        assert bench.session.state == "ready"
        assert bench.session.run is None

    def test_epochs_of_data_without_a_length_fail_the_training(self, bench: Bench) -> None:
        """Only the data loader knows, so the session says so when it was built."""
        bench.adapter.per_epoch = None
        bench.session.train(epochs=1)
        with pytest.raises(SessionError.__bases__[0], match="no known length"):
            bench.session.wait(LIMIT_S)
        assert bench.session.state == "failed"
        bench.session.train(batches=2, wait=True)
        assert bench.session.state == "finished"

    def test_many_short_trainings_in_a_row_all_end(self, bench: Bench) -> None:
        """The thread that ends and the training that begins never miss each other."""
        for count in range(1, 101):
            bench.session.train(batches=1)
            assert bench.session.state in ("running", "finished")
            assert bench.session.wait(LIMIT_S) == "finished"
            assert bench.session.batches_trained == count
        assert bench.states() == ["running", "finished"] * 100

    def test_a_training_can_begin_at_the_very_moment_another_ends(self, bench: Bench) -> None:
        """Who begins anew as soon as a view shows the end is not overtaken by what is still to be said of it."""
        deadline = time.monotonic() + LIMIT_S
        for count in range(1, 51):
            bench.session.train(batches=1)
            while bench.session.record().state is not State.FINISHED:
                assert time.monotonic() < deadline
            assert bench.session.batches_trained == count
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.states() == ["running", "finished"] * 50


class TestTheThread:
    """One thread, while there is something to do."""

    def test_loading_starts_none(self, bench: Bench) -> None:
        """A session that was only loaded costs nothing."""
        assert bench.thread is None

    @pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
    def test_it_ends_with_the_training_and_starts_again(self, bench: Bench, state: str) -> None:
        """An idle session has none; the next request starts one."""
        bench.bring_to(state)
        if bench.thread is not None:
            bench.thread.join(LIMIT_S)
        assert bench.thread is None
        bench.session.train(batches=2, wait=True)
        assert bench.session.state == "finished"

    def test_it_has_the_sessions_name(self, bench: Bench) -> None:
        """Debuggers and `threading.enumerate()` show whose it is; it does not keep the process alive."""
        bench.train_to_gate()
        assert bench.thread is not None
        assert bench.thread.daemon

    def test_waiting_has_a_time_limit(self, bench: Bench) -> None:
        """It returns the state then, and the training goes on."""
        bench.train_to_gate()
        assert bench.session.wait(0.01) == "running"
        assert bench.session.wait(0) == "running"

    def test_waiting_for_a_paused_session_returns(self, bench: Bench) -> None:
        """It would wait for ever."""
        bench.bring_to("paused")
        assert bench.session.wait() == "paused"

    def test_the_trial_cannot_wait_for_itself(self, bench: Bench) -> None:
        """A control called in the training's own thread is refused instead of hanging; sending a command works."""
        refusals: list[SessionError] = []

        def steer(_: int) -> None:
            for call in (bench.session.pause, bench.session.validate, bench.session.wait, lambda: bench.session.at_batch(print)):
                with pytest.raises(SessionError, match="cannot wait for itself") as refusal:
                    call()
                refusals.append(refusal.value)
            bench.session.send(Pause())

        bench.adapter.on_batch = steer
        bench.session.train(batches=LONG)
        assert bench.session.wait(LIMIT_S) == "paused"
        assert bench.session.batches_trained == 1
        assert len(refusals) == 4

    def test_a_command_taken_back_in_time_is_not_done(self, bench: Bench) -> None:
        """A future that is cancelled before its turn leaves no trace."""
        bench.train_to_gate()
        taken_back = bench.session.send(Stop())
        assert taken_back.cancel()
        bench.adapter.gate.set()
        bench.session.pause()
        assert bench.session.state == "paused"
        with pytest.raises(CancelledError):
            taken_back.result()

    def test_a_callback_of_a_command_may_send_the_next(self, bench: Bench) -> None:
        """It runs in the training's thread, which is not held up by that."""
        bench.train_to_gate()
        done = threading.Event()
        bench.session.send(Pause()).add_done_callback(
            lambda _: bench.session.send(Resume()).add_done_callback(
                lambda _: bench.session.send(Stop()).add_done_callback(lambda _: done.set())
            )
        )
        bench.adapter.gate.set()
        assert done.wait(LIMIT_S)
        assert bench.states() == ["running", "paused", "running", "stopped"]


class TestClosing:
    """The end of a session."""

    def test_closing_ends_what_is_under_way(self, bench: Bench) -> None:
        """The thread is joined, the loaders are let go, the run says stopped."""
        bench.train_to_gate()
        bench.adapter.gate.set()
        bench.session.close()
        assert bench.thread is None
        assert bench.session.state == "stopped"
        assert bench.adapter.calls[-1] == "release"
        bench.session.close()
        assert bench.session.state == "stopped"

    def test_a_process_that_ends_leaves_an_interrupted_run(self, bench: Bench) -> None:
        """What was under way is written down as interrupted, with its last batch."""
        bench.bring_to("running")
        bench.session.close(State.INTERRUPTED)
        assert bench.session.run is not None
        assert bench.session.run.state == "interrupted"
        assert bench.session.metrics("loss")[0][-1] == bench.session.batches_trained

    def test_closing_an_idle_session_keeps_its_state(self, bench: Bench) -> None:
        """What is finished stays finished."""
        bench.bring_to("finished")
        bench.session.close()
        assert bench.session.state == "finished"

    def test_closing_does_not_wait_for_ever(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A batch that takes very long keeps its loaders, and ends when it ends."""
        monkeypatch.setattr("detjupyter.training.driver.JOIN_LIMIT_S", 0.01)
        bench.train_to_gate()
        bench.session.close()
        assert "release" not in bench.adapter.calls
        bench.adapter.gate.set()
        bench.session.close()
        if bench.thread is not None:
            bench.thread.join(LIMIT_S)
        assert bench.session.state == "stopped"

    def test_closing_before_a_training_has_begun_to_train_ends_it(self, bench: Bench) -> None:
        """While the data is prepared, too."""
        preparing, go_on = threading.Event(), threading.Event()

        def prepare() -> None:
            preparing.set()
            go_on.wait(LIMIT_S)

        bench.adapter.on_data = prepare
        bench.session.train(batches=LONG)
        assert preparing.wait(LIMIT_S)
        stop = bench.session.send(Stop())
        go_on.set()
        stop.result(LIMIT_S)
        assert bench.session.state == "stopped"
        assert not bench.session.is_busy


class TestCalls:
    """A function between two batches."""

    def test_it_runs_in_the_trainings_thread_with_the_trial(self, bench: Bench) -> None:
        """And its result comes back."""
        bench.bring_to("running")
        name = bench.session.at_batch(lambda trial: (threading.current_thread().name, trial is bench.session.trial))
        assert name == ("detjupyter toy", True)

    @pytest.mark.parametrize("error", [KeyError("mine"), SystemExit(3), KeyboardInterrupt()])
    def test_what_it_raises_is_the_callers(self, bench: Bench, error: BaseException) -> None:
        """The training goes on."""
        bench.bring_to("running")

        def fail(_: Any) -> None:
            raise error

        with pytest.raises(type(error)):
            bench.session.at_batch(fail)
        assert bench.session.state == "running"

    def test_it_may_change_the_trial(self, bench: Bench) -> None:
        """Between two batches, nothing else touches it."""
        bench.bring_to("paused")
        bench.session.at_batch(lambda trial: setattr(trial, "weight", 99.0))
        bench.session.step()
        assert bench.session.trial.weight == 100.0
