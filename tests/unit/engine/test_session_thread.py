"""The one thread of a session: what runs in it, how a function gets into it, and how it ends."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest
from support.bench import LONG, Bench, Held, make_bench
from support.waiting import LIMIT_S, wait_until

from detjupyter.errors import SessionError
from detjupyter.protocol.commands import AtBatch, Pause, Resume, Stop, Validate
from detjupyter.protocol.events import ActivityChanged, Event
from detjupyter.protocol.states import Activity, State


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test twice: on the engine itself, and on one behind bytes."""
    return bool(request.param)


class TestTheThread:
    """One thread, while there is something to do."""

    @pytest.mark.parametrize("state", ["ready", "running", "paused", "finished", "stopped", "failed"])
    def test_it_is_the_same_from_the_load_to_the_end(self, bench: Bench, state: str) -> None:
        """Import, training, validation, checkpoint, reload and shutdown run in one thread."""
        seen: set[int] = set()
        bench.adapter.on_batch = lambda _: seen.add(threading.get_ident())  # type: ignore[func-returns-value]
        bench.adapter.on_validation_batch = lambda _: seen.add(threading.get_ident())
        bench.adapter.on_data = lambda: seen.add(threading.get_ident())
        assert bench.thread is not None
        ident = bench.thread.ident
        bench.bring_to(state)
        bench.session.validate()
        bench.session.step()
        assert bench.thread is not None
        assert bench.thread.ident == ident
        assert seen == {ident, bench.loaded_in}

    def test_a_closed_session_has_none(self, bench: Bench) -> None:
        """And refuses everything, without a thread."""
        bench.session.close()
        assert bench.thread is None
        for call in (bench.session.step, bench.session.validate, lambda: bench.session.train(batches=1), bench.session.reload):
            with pytest.raises(SessionError, match="closed"):
                call()
        assert bench.thread is None

    def test_it_has_the_sessions_name(self, bench: Bench) -> None:
        """Debuggers and `threading.enumerate()` show whose it is; it does not keep the process alive."""
        bench.train_to_gate()
        assert bench.thread is not None
        assert bench.thread.daemon

    def test_waiting_has_a_time_limit(self, bench: Bench) -> None:
        """It returns the state at that time, and the training continues."""
        bench.train_to_gate()
        assert bench.session.wait(0.01) == "running"
        assert bench.session.wait(0) == "running"

    def test_waiting_for_a_paused_session_returns(self, bench: Bench) -> None:
        """It would otherwise wait forever."""
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
        """A future that is canceled before its turn has no effect."""
        bench.train_to_gate()
        taken_back = bench.session.send(Stop())
        assert taken_back.cancel()
        bench.adapter.gate.set()
        bench.session.pause()
        assert bench.session.state == "paused"
        with pytest.raises(CancelledError):
            taken_back.result()

    def test_a_callback_of_a_command_may_send_the_next(self, bench: Bench) -> None:
        """It runs in the training's thread, which it does not block."""
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
        """The thread is joined, the loaders are released, the run is stopped."""
        bench.train_to_gate()
        bench.adapter.gate.set()
        bench.session.close()
        assert bench.thread is None
        assert bench.session.state == "stopped"
        assert bench.adapter.calls[-1] == "release"
        bench.session.close()
        assert bench.session.state == "stopped"

    def test_a_process_that_ends_leaves_an_interrupted_run(self, bench: Bench) -> None:
        """The current training is recorded as interrupted, with its last batch."""
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
        monkeypatch.setattr("detjupyter.engine.local.JOIN_LIMIT_S", 0.01)
        bench.train_to_gate()
        bench.session.close()
        assert "release" not in bench.adapter.calls
        bench.adapter.gate.set()
        bench.session.close()
        if bench.thread is not None:
            bench.thread.join(LIMIT_S)
        assert bench.session.state == "stopped"

    def test_a_closed_session_is_freed_although_a_listener_uses_it(self, tmp_path: Path, behind_bytes: bool) -> None:
        """So a notebook that loads and closes many sessions does not accumulate them."""
        bench = make_bench(tmp_path / "toy", behind_bytes=behind_bytes)
        bench.session.channel.subscribe(bench.session.record)  # type: ignore[arg-type]
        bench.session.train(batches=2, wait=True)
        reference = weakref.ref(bench.session)
        bench.session.close()
        del bench

        def is_freed() -> bool:
            gc.collect()
            return reference() is None

        wait_until(is_freed, "the end of the threads that use the session")

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


@pytest.mark.parametrize("behind_bytes", [False], ids=["direct"])
class TestCalls:
    """A function between two batches: the one command that needs the engine in this process."""

    def test_it_runs_in_the_trainings_thread_with_the_trial(self, bench: Bench) -> None:
        """And its result comes back."""
        bench.bring_to("running")
        name = bench.session.at_batch(lambda trial: (threading.current_thread().name, trial is bench.session.trial))
        assert name == ("detjupyter toy", True)

    @pytest.mark.parametrize("error", [KeyError("mine"), SystemExit(3), KeyboardInterrupt()])
    def test_what_it_raises_is_the_callers(self, bench: Bench, error: BaseException) -> None:
        """The training continues."""
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
        assert bench.trial.weight == 100.0

    def test_a_validation_under_way_is_not_shared_with_a_request_after_it(self, bench: Bench) -> None:
        """It has begun with the trial as it was; the next one is of the trial as the function left it."""
        bench.bring_to("paused")
        held = Held()
        bench.adapter.on_validation_batch = lambda index: held() if index == 0 else None
        first = bench.session.send(Validate())
        held.wait()
        bench.adapter.on_validation_batch = lambda _: None
        changed = bench.session.send(AtBatch("a function", lambda trial: setattr(trial, "weight", 99.0)))
        second = bench.session.send(Validate())
        held.may_continue.set()
        first.result(LIMIT_S)
        changed.result(LIMIT_S)
        assert second.result(LIMIT_S) == {"error": 0.01}
        assert bench.adapter.calls.count("validate") == 2

    def test_a_checkpoint_before_it_is_of_the_trial_as_it_was(self, bench: Bench) -> None:
        """Also if the function is requested when the checkpoint has begun, and before the state is copied."""
        bench.bring_to("paused")
        weight = bench.trial.weight
        changes: list[Future[None]] = []

        def change(event: Event) -> None:
            if event == ActivityChanged(Activity.CHECKPOINTING):
                changes.append(bench.session.send(AtBatch("a function", lambda trial: setattr(trial, "weight", 99.0))))

        bench.session._publisher.react_with(change)  # in the engine's thread
        saved = bench.session.checkpoint()
        (changed,) = changes
        changed.result(LIMIT_S)
        assert bench.trial.weight == 99.0
        assert json.loads((Path(saved.path) / "weight.json").read_text()) == weight
