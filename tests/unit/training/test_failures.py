"""What happens when the trial's code, the disk or a view fails."""

from __future__ import annotations

import errno
import gc
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detjupyter.errors import CheckpointError, HyperparameterError, TrialError
from detjupyter.protocol.commands import Step, Validate

if TYPE_CHECKING:
    from unit.training.conftest import Bench

LIMIT_S = 20.0


def failing(error: BaseException, at: int = 0) -> Any:
    """Return a function for a toy trial that raises at one batch."""

    def fail(index: int) -> None:
        if index == at:
            raise error

    return fail


class TestTheTrialFails:
    """The session is failed, says why, and can go on."""

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
        """`next()` on something that is used up is an error of the code, told as the user wrote it."""
        setattr(bench.adapter, where, failing(StopIteration("used up")))
        bench.session.train(batches=5)
        with pytest.raises(TrialError, match="StopIteration: used up"):
            bench.session.wait(LIMIT_S)
        assert bench.session.state == "failed"

    def test_a_validation_that_fails_fails_the_session(self, bench: Bench) -> None:
        """Beside no training, too; whoever asked gets the error."""
        bench.adapter.on_validation_batch = failing(ValueError("bad data"), at=1)
        with pytest.raises(TrialError, match="while validating"):
            bench.session.validate()
        assert bench.session.state == "failed"
        assert bench.adapter.calls[:2] == ["validate", "validation over"]
        assert bench.session.record().activity.value == "idle"

    def test_everyone_who_waits_hears_of_it(self, bench: Bench) -> None:
        """A step and a validation that were asked for fail with the batch that failed."""
        bench.train_to_gate()
        bench.adapter.on_batch = failing(ValueError("no more"), at=1)
        waiting = [bench.session.send(Step(5)), bench.session.send(Step(7))]
        bench.adapter.gate.set()
        for future in waiting:
            with pytest.raises(TrialError, match="no more"):
                future.result(LIMIT_S)

    def test_data_that_cannot_be_prepared_fails_a_training_and_a_step(self, bench: Bench) -> None:
        """The session is not stuck in between, and goes on once the data is there."""

        def missing() -> None:
            raise FileNotFoundError(errno.ENOENT, "No such file", "data/train.npz")

        bench.adapter.on_data = missing
        bench.session.train(batches=1)
        with pytest.raises(TrialError, match=r"while preparing the data.*\n.*train\.npz"):
            bench.session.wait(LIMIT_S)
        with pytest.raises(TrialError, match=r"train\.npz"):
            bench.session.step()
        assert bench.session.state == "failed"
        assert not bench.session.is_busy
        bench.adapter.on_data = lambda: None
        bench.session.step()
        assert bench.session.batches_trained == 1

    def test_a_mistake_that_we_explain_keeps_its_words(self, bench: Bench) -> None:
        """A missing hyperparameter asked for in a batch is told as it would be told at loading."""
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
        old, trained = bench.session.trial, bench.session.batches_trained
        bench.session.reload()
        assert bench.session.trial is not old
        assert bench.session.trial.weight == trained
        bench.session.step(1)
        assert bench.session.batches_trained == trained + 1
        assert "release" in bench.adapter.calls

    def test_a_definition_that_does_not_load_changes_nothing(self, bench: Bench) -> None:
        """Nor does one whose weights do not fit."""
        bench.bring_to("paused")
        old = bench.session.trial

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
        assert bench.session.trial is old
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

    def test_a_full_disk_is_told_and_the_training_lives(self, bench: Bench) -> None:
        """The one who asked gets the reason; a checkpoint of the training's own is told in the log."""

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
        """By record, id or directory; the curve of the weights at hand replaces what was given up."""
        bench.session.step(2)
        saved = bench.session.checkpoint()
        for which in (saved, saved.id, saved.path, Path(saved.path)):
            bench.session.step(3)
            bench.session.restore(which)
            assert bench.session.trial.weight == 2
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
        assert "%det_stop" in str(raised.value)

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda path: (path / "detjupyter.json").unlink(), "no checkpoint here"),
            (lambda path: (path / "detjupyter.json").write_text("{"), "manifest cannot be read"),
            (lambda path: (path / "detjupyter.json").write_text("[]"), "manifest cannot be read"),
            (lambda path: (path / "detjupyter.json").write_text('{"batches_trained": 1, "records_trained": 1}'), "cannot be read"),
            (
                lambda path: (path / "detjupyter.json").write_text('{"batches_trained": 1, "records_trained": 1, "trial_class": "Other"}'),
                "a checkpoint of Other, and ToyTrial is loaded",
            ),
            (lambda path: (path / "weight.json").write_text("1."), r"weight.json is not what was written, it has 2 bytes, not 3"),
            (lambda path: (path / "weight.json").write_text("7.0"), "weight.json is not what was written, its bytes were changed"),
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
        assert (bench.session.batches_trained, bench.session.trial.weight) == (3, 3)

    def test_an_id_that_nobody_has(self, bench: Bench) -> None:
        """It names the id."""
        with pytest.raises(CheckpointError, match="nothing-like-that"):
            bench.session.restore("nothing-like-that")


class TestOurOwnBugs:
    """Should the board or the like break, nobody waits for ever."""

    def test_whoever_waits_hears_of_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """The traceback goes to Python's log, and the next training starts a new thread."""
        bench.train_to_gate()
        waiting = bench.session.send(Step(5))
        monkeypatch.setattr(bench.session._board, "apply", None)
        bench.adapter.gate.set()
        with pytest.raises(Exception, match="NoneType"):
            waiting.result(LIMIT_S)
        with pytest.raises(TrialError, match="a bug of detjupyter"):
            bench.session.wait(LIMIT_S)
        assert "The session toy broke" in caplog.text
        assert bench.session.state == "failed"
        monkeypatch.undo()
        bench.session.train(batches=1, wait=True)
        assert bench.session.state == "finished"


class TestTheStoreFails:
    """The history is not worth a training."""

    def test_nothing_is_lost_when_it_fails_for_a_while(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Curves, log, events and checkpoints are all there in the end, in order; the log says so twice."""
        monkeypatch.setattr("detjupyter.training.recorder.FLUSH_INTERVAL_S", 0.0)
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
        run = bench.session.run
        assert run is not None
        assert run.metrics("loss")[0].tolist() == list(range(1, 10))
        assert run.metrics("error", "validation")[0].tolist() == [7]
        assert [saved.batches_trained for saved in run.checkpoints()] == [7]
        assert bench.states() == ["running", "paused"] * 3 + ["stopped"]
        printed = [line.text for line in run.log() if line.stream == "stdout"]
        assert printed == [f"batch {index}" for index in range(9)]
        said = [line.text for line in run.log() if line.stream == "detjupyter"]
        assert len(said) == 2
        assert "The disk with the history is full" in said[0]
        assert "nothing is missing" in said[1]

    def test_the_end_is_written_later_if_it_cannot_be_written_now(self, bench: Bench) -> None:
        """Closing the session tries again."""
        bench.session.step(1)
        bench.store.broken = True
        bench.session.stop()
        bench.store.broken = False
        bench.session.close()
        assert bench.store.runs()[0].state.value == "stopped"

    @pytest.mark.parametrize("when", ["opening", "creating the run"])
    def test_without_a_store_the_session_keeps_its_own(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
        """It trains, shows its curves, and says that no history is kept."""
        if when == "opening":

            def refuse() -> Any:
                with bench.store.transaction():
                    raise AssertionError("unreachable")

            monkeypatch.setattr(bench.session, "_open_store", refuse)
        bench.store.broken = True
        bench.session.train(batches=3, wait=True)
        assert bench.session.metrics("loss")[0].tolist() == [1, 2, 3]
        assert any("The history is not kept" in line for line in bench.log())

    def test_a_store_with_a_bug_is_treated_like_one_that_fails(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever it raises, the training goes on."""
        bench.session.step(1)
        monkeypatch.setattr(bench.store, "update_run", None)
        bench.session.step(1)
        assert bench.session.state == "paused"
        monkeypatch.undo()
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
