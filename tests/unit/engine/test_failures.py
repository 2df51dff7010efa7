"""What happens when the trial's code, the disk or a view fails."""

from __future__ import annotations

import errno
import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import Held, ToyAdapter
from support.waiting import LIMIT_S, wait_until

from detjupyter.engine.checkpoints import writing
from detjupyter.engine.job_control import JobControl
from detjupyter.errors import CheckpointError, HyperparameterError, SessionError, TrialError
from detjupyter.protocol.commands import Reload, Step, Validate

if TYPE_CHECKING:
    from support.bench import Bench


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test twice: on the engine itself, and on one behind bytes."""
    return bool(request.param)


def failing(error: BaseException, at: int = 0) -> Any:
    """Return a function for a toy trial that raises at one batch."""

    def fail(index: int) -> None:
        if index == at:
            raise error

    return fail


class TestTheTrialFails:
    """The session is failed, gives the reason, and can continue."""

    def test_state_error_and_history(self, bench: Bench) -> None:
        """All three tell; the batches before are kept, with their metrics."""
        bench.adapter.on_batch = failing(ValueError("odd shape"), at=2)
        bench.session.train(batches=5)
        with pytest.raises(TrialError, match="odd shape") as raised:
            bench.session.wait(LIMIT_S)
        assert bench.session.state == "failed"
        assert bench.session.error is raised.value
        assert raised.value.message == "ValueError in your code while training, after batch 2."
        assert raised.value.exception == "ValueError: odd shape"
        assert bench.session.metrics("loss")[0].tolist() == [1, 2]
        assert bench.states() == ["running", "failed"]
        assert bench.events("error")[0]["error"]["message"].endswith("ValueError: odd shape")
        assert bench.session.record().error is not None
        assert "discard batch" in bench.adapter.calls

    def test_it_goes_on_afterwards(self, bench: Bench) -> None:
        """The weights are those of the last good batch, and nothing of the error is left."""
        bench.bring_to("failed")
        bench.session.train(batches=3, wait=True)
        assert bench.session.error is None
        assert bench.session.record().error is None
        assert bench.session.batches_trained == 3

    @pytest.mark.parametrize(
        "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError("big"), type("Own", (BaseException,), {})("own")]
    )
    def test_whatever_it_raises_ends_in_failed(self, bench: Bench, error: BaseException) -> None:
        """No exception kills the thread silently and leaves everybody waiting."""
        bench.adapter.on_batch = failing(error)
        bench.session.train(batches=5)
        with pytest.raises(TrialError) as raised:
            bench.session.wait(LIMIT_S)
        assert type(error).__name__ in raised.value.exception
        bench.session.train(batches=2)  # batch 0 fails again, in the same way
        with pytest.raises(TrialError):
            bench.session.wait(LIMIT_S)

    @pytest.mark.parametrize("where", ["on_batch", "on_validation_batch"])
    def test_a_stop_iteration_is_not_taken_for_the_end(self, bench: Bench, where: str) -> None:
        """`next()` on an exhausted iterator is an error of the code, reported as the user wrote it."""
        setattr(bench.adapter, where, failing(StopIteration("used up")))
        bench.session.train(batches=5)
        with pytest.raises(TrialError, match="StopIteration: used up"):
            bench.session.wait(LIMIT_S)
        assert bench.session.state == "failed"

    def test_a_validation_that_fails_fails_the_session(self, bench: Bench) -> None:
        """Also outside of a training; the sender gets the error."""
        bench.adapter.on_validation_batch = failing(ValueError("bad data"), at=1)
        with pytest.raises(TrialError, match="while validating"):
            bench.session.validate()
        assert bench.session.state == "failed"
        assert bench.adapter.calls[:2] == ["validate", "validation over"]
        assert bench.session.record().activity.value == "idle"

    def test_everyone_who_waits_hears_of_it(self, bench: Bench) -> None:
        """A requested step and a requested validation fail with the batch that failed."""
        bench.train_to_gate()
        bench.adapter.on_batch = failing(ValueError("no more"), at=1)
        waiting = [bench.session.send(Step(5)), bench.session.send(Step(7))]
        bench.adapter.gate.set()
        for future in waiting:
            with pytest.raises(TrialError, match="no more"):
                future.result(LIMIT_S)

    def test_data_that_cannot_be_prepared_fails_a_training_and_a_step(self, bench: Bench) -> None:
        """The session is not stuck in between, and continues when the data exists."""

        def missing() -> None:
            raise FileNotFoundError(errno.ENOENT, "No such file", "data/train.npz")

        bench.adapter.on_data = missing
        bench.session.train(batches=1)
        with pytest.raises(TrialError, match=r"(?s)while preparing the data.*train\.npz"):
            bench.session.wait(LIMIT_S)
        with pytest.raises(TrialError, match=r"train\.npz"):
            bench.session.step()
        assert bench.session.state == "failed"
        assert not bench.session.is_busy
        bench.adapter.on_data = lambda: None
        bench.session.step()
        assert bench.session.batches_trained == 1

    def test_a_mistake_that_we_explain_keeps_its_words(self, bench: Bench) -> None:
        """A missing hyperparameter in a batch gives the same message as at loading."""
        bench.adapter.on_batch = failing(HyperparameterError("There is no hyperparameter 'lr'.", name="lr", hint="Add it."))
        bench.session.train(batches=1)
        with pytest.raises(TrialError) as raised:
            bench.session.wait(LIMIT_S)
        assert (raised.value.message, raised.value.hint) == ("There is no hyperparameter 'lr'.", "Add it.")

    def test_nothing_of_the_failed_batch_is_kept_alive(self, bench: Bench) -> None:
        """Frames are dropped: on a GPU they would hold the batch and the graph."""

        class Batch:
            pass

        kept: list[weakref.ref[Batch]] = []

        def fail(_: int) -> None:
            batch = Batch()
            kept.append(weakref.ref(batch))
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError(f"second {id(batch)}")  # noqa: B904 -- the context is the point

        bench.adapter.on_batch = fail
        bench.session.train(batches=1)
        with pytest.raises(TrialError):
            bench.session.wait(LIMIT_S)
        gc.collect()
        assert kept[0]() is None

    def test_metrics_that_cannot_be_read_do_not_hang_the_session(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """A device that failed says so at its next use, which may be the fetching of metrics."""

        def broken(rows: Any) -> Any:
            raise RuntimeError("device-side assert")

        bench.session.step(1)
        monkeypatch.setattr(bench.adapter, "fetch", broken)
        bench.session.step(1)
        assert bench.session.state == "paused"
        assert any("device-side assert" in line for line in bench.log())
        bench.session.train(batches=5)
        with pytest.raises(TrialError, match="device-side assert"):
            bench.session.wait(LIMIT_S)


class TestReloading:
    """Edited code takes over, or nothing changes."""

    def test_the_new_trial_goes_on_with_the_weights(self, bench: Bench) -> None:
        """While it trains, too."""
        bench.bring_to("paused")
        old, trained = bench.trial, bench.session.batches_trained
        bench.session.reload()
        assert bench.trial is not old
        assert bench.trial.weight == trained
        bench.session.step(1)
        assert bench.session.batches_trained == trained + 1
        assert "release" in bench.adapter.calls

    def test_a_definition_that_does_not_load_changes_nothing(self, bench: Bench) -> None:
        """Nor does one whose weights do not fit."""
        bench.bring_to("paused")
        old = bench.trial

        def broken() -> Any:
            raise TrialError("broken", exception="", user_traceback="")

        bench.reloaded = broken
        with pytest.raises(TrialError, match="broken"):
            bench.session.reload()

        class Other(type(bench.adapter)):  # type: ignore[misc]
            def adopt(self, other: Any) -> None:  # noqa: ARG002 -- the contract's
                raise CheckpointError("does not fit")

        bench.reloaded = Other
        modules = set(sys.modules)
        with pytest.raises(CheckpointError, match="does not fit"):
            bench.session.reload()
        assert set(sys.modules) == modules
        assert bench.trial is old
        assert bench.session.state == "paused"
        bench.session.step(1)


class TestCheckpoints:
    """On disk, whole or not at all."""

    def test_it_appears_only_when_it_is_complete(self, bench: Bench) -> None:
        """While it is written there is nothing under a checkpoint's name; afterwards there is nothing else."""
        seen: list[list[str]] = []

        def look(directory: Path) -> None:
            seen.append([path.name for path in directory.parent.iterdir() if not path.name.startswith(".")])

        bench.adapter.on_save = look
        saved = bench.session.checkpoint()
        assert seen == [[]]
        assert [path.name for path in Path(saved.path).parent.iterdir()] == [saved.id]
        assert {path.name for path in Path(saved.path).iterdir()} == {"weight.json", "detjupyter.json", "code"}
        assert saved.size_bytes == sum(path.stat().st_size for path in Path(saved.path).rglob("*") if path.is_file())

    def test_a_full_disk_is_reported_and_the_training_lives(self, bench: Bench) -> None:
        """The sender gets the reason; for a checkpoint of the training itself, the log has it."""

        def full(_: Path) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        bench.adapter.on_save = full
        bench.bring_to("running")
        with pytest.raises(CheckpointError, match="No space left on device") as raised:
            bench.session.checkpoint()
        assert raised.value.hint
        assert bench.session.state == "running"
        assert list(Path(raised.value.path or "").parent.iterdir()) == []
        bench.session.stop()
        bench.session.train(batches=1, wait=True)
        assert bench.session.state == "finished"
        assert any("No space left on device" in line for line in bench.log())

    def test_code_that_fails_while_saving_leaves_nothing(self, bench: Bench) -> None:
        """It is the trial's failure then."""

        def fail(_: Path) -> None:
            raise ValueError("cannot")

        bench.adapter.on_save = fail
        with pytest.raises(TrialError, match="cannot"):
            bench.session.checkpoint()
        assert list((bench.store.home / "checkpoints").rglob("*.json")) == []

    def test_restoring_goes_back(self, bench: Bench) -> None:
        """By record, id or directory; the curve of the current weights replaces the later points."""
        bench.session.step(2)
        saved = bench.session.checkpoint()
        for which in (saved, saved.id, saved.path, Path(saved.path)):
            bench.session.step(3)
            bench.session.restore(which)
            assert bench.trial.weight == 2
            assert bench.session.batches_trained == bench.session.record().batches_trained == 2
            assert bench.session.run is not None
            assert bench.session.run.record.batches_trained == 2
        bench.session.step(1)
        batches, values = bench.session.metrics("loss")
        assert batches.tolist() == [1, 2, 3]
        assert values.tolist() == [1, 1 / 2, 1 / 3]

    def test_restoring_is_refused_while_a_training_is_under_way(self, bench: Bench) -> None:
        """It says what to do."""
        saved = bench.session.checkpoint()
        bench.bring_to("running")
        with pytest.raises(Exception, match="Cannot restore a checkpoint while the session is running") as raised:
            bench.session.restore(saved)
        assert "`session.stop()` ends the training" in str(raised.value)

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda path: (path / "detjupyter.json").unlink(), "no checkpoint here"),
            (lambda path: (path / "detjupyter.json").write_text("{"), "manifest cannot be read"),
            (lambda path: (path / "detjupyter.json").write_text("[]"), "manifest cannot be read"),
            (lambda path: (path / "detjupyter.json").write_text('{"batches_trained": 1, "records_trained": 1}'), "cannot be read"),
            (
                lambda path: (path / "detjupyter.json").write_text('{"batches_trained": 1, "records_trained": 1, "trial_class": "Other"}'),
                "a checkpoint of Other, but ToyTrial is loaded",
            ),
            (
                lambda path: (path / "weight.json").write_text("1."),
                r"weight.json differs from what was written; it has 2 bytes instead of 3",
            ),
            (lambda path: (path / "weight.json").write_text("7.0"), "weight.json differs from what was written; its content was changed"),
            (lambda path: (path / "weight.json").unlink(), "weight.json is missing"),
        ],
    )
    def test_a_damaged_one_is_refused_and_changes_nothing(self, bench: Bench, damage: Any, words: str) -> None:
        """The message says what is wrong with it, and where it is."""
        saved = bench.session.checkpoint()
        bench.session.step(3)
        damage(Path(saved.path))
        with pytest.raises(CheckpointError, match=words) as raised:
            bench.session.restore(saved)
        assert raised.value.path == saved.path
        assert (bench.session.batches_trained, bench.trial.weight) == (3, 3)

    def test_an_id_that_nobody_has(self, bench: Bench) -> None:
        """It names the id."""
        with pytest.raises(CheckpointError, match="nothing-like-that"):
            bench.session.restore("nothing-like-that")


class TestOurOwnBugs:
    """If a part of detjupyter breaks, no sender waits forever."""

    def test_whoever_waits_hears_of_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """The traceback goes to Python's log; the thread ends, what comes later is refused, and what was recorded is kept."""
        bench.session.step(2)
        bench.train_to_gate()
        waiting = [bench.session.send(Step(5)), bench.session.send(Validate())]
        monkeypatch.setattr(JobControl, "next_job", None)
        bench.adapter.gate.set()
        for future in waiting:
            with pytest.raises(TrialError, match="Internal error in detjupyter") as raised:
                future.result(LIMIT_S)
            assert raised.value.exception == "TypeError: 'NoneType' object is not callable"
            assert raised.value.hint == "Load the definition again."
        with pytest.raises(TrialError, match="Internal error in detjupyter"):
            bench.session.wait(LIMIT_S)
        assert "Internal error in the engine of toy" in caplog.text
        assert "'NoneType' object is not callable" in caplog.text
        bench.engine.ended.result(LIMIT_S)
        wait_until(lambda: bench.thread is None, "the end of the thread")
        assert (bench.session.state, bench.session.allowed) == ("failed", ())
        assert bench.session.metrics("loss")[0].tolist()[:2] == [1, 2]
        with pytest.raises(SessionError, match="The session is closed"):
            bench.session.train(batches=1)


class TestTheStoreFails:
    """The history is not worth a training."""

    def test_nothing_is_lost_when_it_fails_for_a_while(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Curves, log, events and checkpoints are all there in the end, in order; the log says so twice."""
        monkeypatch.setattr("detjupyter.session.pace.FLUSH_INTERVAL_S", 0.0)
        bench.adapter.on_batch = lambda index: print(f"batch {index}")  # noqa: T201 -- what a trial does
        bench.session.step(3)
        bench.store.broken = True
        bench.session.step(4)
        bench.session.validate()
        bench.session.checkpoint()
        assert bench.session.state == "paused"
        bench.store.broken = False
        bench.session.step(2)
        bench.session.stop()
        bench.settle_record()
        run = bench.session.run
        assert run is not None
        assert run.metrics("loss")[0].tolist() == list(range(1, 10))
        assert run.metrics("error", "validation")[0].tolist() == [7]
        assert [saved.batches_trained for saved in run.checkpoints()] == [7]
        assert bench.states() == ["running", "paused"] * 3 + ["stopped"]
        printed = [line.text for line in run.log() if line.stream == "stdout"]
        assert printed == [f"batch {index}" for index in range(9)]
        bench.between_batches()  # the log's last line comes with the next event
        said = [line for line in bench.log() if line.startswith("Saving")]
        assert len(said) == 2
        assert "The disk with the history is full" in said[0]
        assert said[1] == "Saving works again; no data was lost."

    def test_the_end_is_written_later_if_it_cannot_be_written_now(self, bench: Bench) -> None:
        """Closing the session tries again."""
        bench.session.step(1)
        bench.store.broken = True
        bench.session.stop()
        bench.store.broken = False
        bench.session.close()
        assert bench.store.runs()[0].state.value == "stopped"

    @pytest.mark.parametrize("when", ["opening", "creating the run"])
    def test_without_a_store_the_session_keeps_its_own(self, bench: Bench, when: str) -> None:
        """It trains, shows its curves, and says that no history is kept."""
        if when == "opening":

            def refuse() -> Any:
                with bench.store.transaction():
                    raise AssertionError("unreachable")

            bench.open_store = refuse
        bench.store.broken = True
        bench.session.train(batches=3, wait=True)
        assert bench.session.metrics("loss")[0].tolist() == [1, 2, 3]
        assert any("The history is not saved" in line for line in bench.log())

    def test_a_store_with_a_bug_is_treated_like_one_that_fails(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """With any exception of the store, the training continues."""
        bench.session.step(1)
        monkeypatch.setattr(bench.store, "update_run", None)
        bench.session.step(1)
        assert bench.session.state == "paused"
        monkeypatch.undo()
        bench.settle_record()
        assert bench.session.metrics("loss")[0].tolist() == [1, 2]


def test_a_training_that_fails_while_many_ask_answers_each_of_them(bench: Bench) -> None:
    """Commands from many threads at the moment of a failure are all answered, one way or the other."""
    bench.train_to_gate()
    bench.adapter.on_batch = failing(ValueError("now"), at=1)
    answers: list[Any] = []

    def ask(index: int) -> None:
        future = bench.session.send(Validate() if index % 2 else Step(1))
        answers.append(future.exception(LIMIT_S))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(16)]
    for thread in threads[:8]:
        thread.start()
    bench.adapter.gate.set()
    for thread in threads[8:]:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert len(answers) == 16
    assert all(answer is None or isinstance(answer, TrialError) for answer in answers)


class TestReloadsThatFailHalfWay:
    """Batches are being trained, and a validation of the training has begun."""

    @pytest.fixture
    def held(self, bench: Bench) -> Iterator[Held]:
        """Hold the second batch of the validation after three training batches."""
        held = Held()
        bench.adapter.on_validation_batch = lambda index: held() if index == 1 else None
        bench.session.train(batches=6, validate_every=3)
        held.wait()
        yield held
        held.may_continue.set()

    @pytest.mark.parametrize("where", ["in the constructor", "while it takes over the weights"])
    def test_the_validation_and_the_training_continue_as_if_nothing_was_asked_for(self, bench: Bench, held: Held, where: str) -> None:
        """Neither restarts, and no batch is trained twice."""
        fresh = ToyAdapter()

        def fail(*_: Any) -> ToyAdapter:
            raise ValueError("half-way")

        if where == "in the constructor":
            bench.reloaded = fail
        else:
            fresh.adopt = fail  # type: ignore[method-assign]
            bench.reloaded = lambda: fresh
        reload = bench.session.send(Reload())
        held.may_continue.set()
        with pytest.raises(Exception, match="half-way"):
            reload.result(LIMIT_S)
        assert bench.session.wait(LIMIT_S) == "finished"
        done = [call for call in bench.adapter.calls if call.startswith(("batch", "valid"))]
        validation = ["validate", "validation over"]
        assert done == [*(f"batch {n}" for n in range(3)), *validation, *(f"batch {n}" for n in range(3, 6)), *validation]
        assert [event["metrics"]["error"] for event in bench.events("validation")] == [1 / 4, 1 / 7]
        assert fresh.calls == (["release"] if where != "in the constructor" else [])

    def test_a_trial_that_cannot_be_released_is_replaced_all_the_same(self, bench: Bench, held: Held, monkeypatch: Any) -> None:
        """The new code trains, so the answer says so; checkpoints have the new code, and the log names what failed."""
        monkeypatch.setattr(writing, "CODE_LIMIT_S", 2 * LIMIT_S)

        def fail() -> None:
            raise ValueError("its loader does not end")

        bench.adapter.release = fail  # type: ignore[method-assign]
        fresh = ToyAdapter()
        bench.reloaded = lambda: fresh
        (bench.root / "toy.py").write_text("x = 2\n")
        reload = bench.session.send(Reload())
        held.may_continue.set()
        reload.result(LIMIT_S)
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.trial.weight == 6
        assert [call for call in fresh.calls if call.startswith("batch")] == ["batch 3", "batch 4", "batch 5"]
        assert sum("its loader does not end" in line for line in bench.log()) == 1
        assert (Path(bench.session.checkpoint().path) / "code" / "toy.py").read_text() == "x = 2\n"
