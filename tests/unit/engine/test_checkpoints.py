"""Checkpoints: written behind the training, verified when they are restored, deleted when better ones are there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bench import LIMIT_S, LONG, Bench, make_bench
from support.waiting import wait_until

from detjupyter.definition.config import Config, read_config
from detjupyter.engine.checkpoints import writing
from detjupyter.engine.checkpoints.manifest import MANIFEST, partial_name
from detjupyter.errors import CheckpointError, DetJupyterError, TrialError
from detjupyter.protocol.commands import MakeCheckpoint, Restore, Stop
from detjupyter.protocol.records import CheckpointRecord, SavedRecord
from detjupyter.session.retention import Retention, best_first


@pytest.fixture(params=[False, True], ids=["direct", "bytes"])
def behind_bytes(request: pytest.FixtureRequest) -> bool:
    """Have each test twice: on the engine itself, and on one behind bytes."""
    return bool(request.param)


class SlowDisk:
    """A disk that blocks writes while it is held."""

    def __init__(self, bench: Bench) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()
        self.threads: list[str] = []
        bench.adapter.on_save = self._write

    def _write(self, _: Path) -> None:
        self.threads.append(threading.current_thread().name)
        self.reached.set()
        assert self.release.wait(LIMIT_S), "the test never released the disk"


@pytest.fixture
def disk(bench: Bench) -> Iterator[SlowDisk]:
    """Hold the disk until the test, or its end, releases it."""
    disk = SlowDisk(bench)
    yield disk
    disk.release.set()


@pytest.fixture
def config() -> Config:
    """Return a configuration that ranks by the error, and keeps one best and one latest checkpoint of those that it wants."""
    periods = {"min_validation_period": {"batches": 2}, "min_checkpoint_period": {"batches": 2}}
    return read_config({"searcher": {"metric": "error"}, **periods}, Path("nowhere"))


def names(bench: Bench) -> set[str]:
    """Return the names of what is in the run's directory of checkpoints and not on its way out."""
    assert bench.session.run is not None
    place = bench.store.home / "checkpoints" / bench.session.run.id
    return {path.name for path in place.iterdir() if not path.name.startswith(".")} if place.is_dir() else set()


class TestSavedState:
    """A view asks before the present state is lost, so the session knows which checkpoint holds exactly that state."""

    def test_training_and_functions_of_the_user_leave_the_state_of_a_checkpoint(self, bench: Bench) -> None:
        """A restore returns to it; a refused command changes nothing."""
        assert bench.session.record().saved is None
        bench.session.train(batches=4, wait=True)
        (kept,) = bench.session.run.checkpoints() if bench.session.run is not None else ()
        here = SavedRecord(kept.id, kept.run_id)
        assert bench.session.record().saved == here
        bench.session.validate()
        bench.session.reload()
        assert bench.session.record().saved == here
        bench.session.step(1)
        assert bench.session.record().saved is None
        bench.session.restore(kept)
        assert bench.session.record().saved == here
        bench.between_batches(lambda trial: setattr(trial, "weight", 7.0))
        assert bench.session.record().saved is None
        newer = bench.session.checkpoint()
        assert (newer.batches_trained, bench.session.record().saved) == (4, SavedRecord(newer.id, newer.run_id))
        with pytest.raises(CheckpointError):
            bench.session.restore("nothing")
        assert bench.session.record().saved == SavedRecord(newer.id, newer.run_id)

    def test_a_checkpoint_that_is_complete_after_more_batches_is_not_the_present_state(self, bench: Bench, disk: SlowDisk) -> None:
        """Also if the metrics of these batches are not reported yet."""
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        bench.session.step(1)
        disk.release.set()
        saving.result(LIMIT_S)
        assert bench.session.record().saved is None

    def test_of_two_states_after_the_same_batch_it_is_the_restored_one(self, bench: Bench, disk: SlowDisk) -> None:
        """The files of the other one are complete only after the restore."""
        disk.release.set()
        kept = bench.session.checkpoint()
        bench.between_batches(lambda trial: setattr(trial, "weight", 7.0))
        disk.reached.clear()
        disk.release.clear()
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        bench.session.send(Restore(kept.path)).result(LIMIT_S)  # session.restore() waits for the files
        disk.release.set()
        other = saving.result(LIMIT_S)
        assert other.batches_trained == kept.batches_trained
        assert bench.session.record().saved == SavedRecord(kept.id, kept.run_id)
        bench.session.restore(other)
        assert (bench.trial.weight, bench.session.record().saved) == (7, SavedRecord(other.id, other.run_id))

    def test_a_checkpoint_that_cannot_be_written_holds_nothing(self, bench: Bench, disk: SlowDisk) -> None:
        """The state before stays what it was: saved, if a checkpoint of it is there."""
        disk.release.set()
        kept = bench.session.checkpoint()
        disk.reached.clear()
        bench.adapter.on_save = lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(CheckpointError):
            bench.session.checkpoint()
        assert bench.session.record().saved == SavedRecord(kept.id, kept.run_id)
        bench.session.step(1)
        with pytest.raises(CheckpointError):
            bench.session.checkpoint()
        assert bench.session.record().saved is None


class TestWritingBehind:
    """The training waits for the copy of the state only."""

    def test_batches_are_trained_while_the_files_are_written(self, bench: Bench, disk: SlowDisk) -> None:
        """The checkpoint is of the batch at which it was requested; only the sender waits until it is complete."""
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        bench.session.step(3)
        assert bench.trial.weight == 3
        assert not saving.done()
        assert bench.session.run is not None
        assert bench.session.run.checkpoints() == []
        assert names(bench) == set()
        disk.release.set()
        saved = saving.result(LIMIT_S)
        assert saved.batches_trained == 0
        assert bench.session.run.checkpoints() == [saved]
        assert names(bench) == {saved.id}
        bench.session.restore(saved)
        assert bench.trial.weight == 0
        assert disk.threads == ["detjupyter toy writer"]

    def test_a_second_one_waits_for_the_first_and_commands_are_answered(self, bench: Bench, disk: SlowDisk) -> None:
        """There is never more than one copy of the state; the batches wait, too."""
        first = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        bench.session.step(2)
        second = bench.session.send(MakeCheckpoint())
        assert bench.between_batches(lambda trial: trial.weight) == 2
        wait_until(lambda: bench.session.record().activity.value == "checkpointing", "the second checkpoint")
        assert not second.done()
        disk.release.set()
        assert [saving.result(LIMIT_S).batches_trained for saving in (first, second)] == [0, 2]

    def test_a_training_is_finished_when_its_files_are_there(self, bench: Bench, disk: SlowDisk) -> None:
        """Until then it is running, and answers."""
        bench.session.train(batches=4)
        assert disk.reached.wait(LIMIT_S)
        wait_until(lambda: bench.between_batches(lambda trial: trial.weight) == 4, "the last batch")
        wait_until(lambda: bench.session.record().activity.value == "checkpointing", "the wait for the files")
        assert bench.session.state == "running"
        bench.session.pause()
        bench.session.resume()
        assert bench.session.state == "running"
        disk.release.set()
        assert bench.session.wait(LIMIT_S) == "finished"
        assert bench.session.run is not None
        assert [saved.batches_trained for saved in bench.session.run.checkpoints()] == [4]
        assert bench.session.record().activity.value == "idle"

    def test_one_batch_is_not_saved_twice(self, bench: Bench, disk: SlowDisk) -> None:
        """A checkpoint that is still being written counts as saved."""
        bench.session.train(batches=2, checkpoint_every=1)
        disk.release.set()
        bench.session.wait(LIMIT_S)
        assert len(bench.events("checkpoint")) == 2

    def test_a_stop_comes_at_once_and_the_files_follow(self, bench: Bench, disk: SlowDisk) -> None:
        """What was copied is not lost."""
        bench.session.train(batches=LONG, checkpoint_every=2)
        assert disk.reached.wait(LIMIT_S)
        bench.session.send(Stop()).result(LIMIT_S)
        assert bench.session.state == "stopped"
        disk.release.set()
        bench.session.restore("latest")
        assert bench.session.batches_trained == bench.trial.weight == 2

    def test_closing_waits_for_the_files(self, bench: Bench, disk: SlowDisk) -> None:
        """A cell that loads something else does not cost the last checkpoint."""
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        threading.Timer(0.3, disk.release.set).start()
        bench.session.close()
        assert saving.done()
        assert Path(saving.result().path).is_dir()

    def test_callbacks_that_look_at_the_files_run_in_the_trainings_thread(self, bench: Bench, disk: SlowDisk) -> None:
        """Then the training waits for all of it, as it did in Determined."""
        bench.adapter.needs_driver = True
        disk.release.set()
        assert bench.session.checkpoint().batches_trained == 0
        bench.session.train(batches=1, wait=True)
        assert disk.threads == ["detjupyter toy", "detjupyter toy"]
        assert [call for call in bench.adapter.calls if call.startswith("checkpointed")] != []

    @pytest.mark.parametrize("needs_driver", [False, True])
    def test_the_trial_hears_of_a_complete_checkpoint(self, bench: Bench, needs_driver: bool) -> None:
        """By its id, after it was written, for any sender."""
        bench.adapter.needs_driver = needs_driver
        saved = bench.session.checkpoint()
        assert bench.adapter.calls == ["save", f"checkpointed {saved.id}"]

    @pytest.mark.parametrize("needs_driver", [False, True])
    def test_a_trial_that_fails_then_has_its_checkpoint_all_the_same(self, bench: Bench, needs_driver: bool, monkeypatch: Any) -> None:
        """The failure is the trial's."""
        bench.adapter.needs_driver = needs_driver

        def fail(checkpoint_id: str) -> None:
            raise ValueError(f"no {checkpoint_id}")

        monkeypatch.setattr(bench.adapter, "checkpointed", fail)
        with pytest.raises(TrialError, match="no "):
            bench.session.train(batches=2, wait=True)
        assert bench.session.state == "failed"
        assert bench.session.run is not None
        assert len(bench.session.run.checkpoints()) == 1


class TestDisksThatAreFull:
    """The training lives."""

    def test_a_checkpoint_that_failed_is_tried_again_at_the_next_occasion(self, bench: Bench) -> None:
        """One sentence in the log for each; nothing is left behind; what comes later is written."""
        broken = [True]

        def full(_: Path) -> None:
            if broken[0]:
                raise OSError(errno.ENOSPC, "No space left on device")

        bench.adapter.on_save = full
        bench.session.train(batches=2, wait=True)
        assert (bench.session.state, names(bench)) == ("finished", set())
        assert sum("No space left on device" in line for line in bench.log()) == 1
        broken[0] = False
        assert bench.session.checkpoint().batches_trained == 2

    def test_a_directory_that_cannot_be_made_is_reported(self, bench: Bench) -> None:
        """It names the place and what to do."""
        (bench.store.home).mkdir(exist_ok=True)
        (bench.store.home / "checkpoints").write_text("in the way")
        with pytest.raises(CheckpointError, match="could not be written") as raised:
            bench.session.checkpoint()
        assert raised.value.hint


@pytest.mark.skipif(os.name != "posix", reason="permissions are another matter here")
def test_others_cannot_read_a_checkpoint(bench: Bench) -> None:
    """Whatever permissions its files have: no directory from the history down to it can be entered."""
    before = os.umask(0o022)
    try:
        bench.session.train(batches=1, wait=True)
        place = Path(bench.session.checkpoint().path)
    finally:
        os.umask(before)
    directories = [place, *(one for one in place.parents if one.is_relative_to(bench.store.home))]
    assert {one.name: stat.S_IMODE(one.stat().st_mode) for one in directories} == {one.name: 0o700 for one in directories}


class TestVerification:
    """What is restored is what was written."""

    def test_a_torn_one_names_the_one_before(self, bench: Bench) -> None:
        """The id is ready to be copied into a cell; it is the newest of those that are whole."""
        first = bench.session.checkpoint()
        bench.session.step(1)
        second = bench.session.checkpoint()
        bench.session.step(1)
        third = bench.session.checkpoint()
        (Path(second.path) / "weight.json").unlink()
        (Path(third.path) / "weight.json").write_text("9.0")
        with pytest.raises(CheckpointError, match=r"weight\.json") as raised:
            bench.session.restore(third)
        assert f'session.restore("{first.id}")' in (raised.value.hint or "")
        assert bench.trial.weight == 2
        bench.session.restore(first)

    def test_a_lost_manifest_is_no_checkpoint(self, bench: Bench) -> None:
        """Nor is the directory that holds all those of a run."""
        saved = Path(bench.session.checkpoint().path)
        (saved / MANIFEST).unlink()
        for place in (saved, saved.parent):
            with pytest.raises(CheckpointError, match="no checkpoint here"):
                bench.session.restore(place)

    @pytest.mark.parametrize("what", [None, 5, "half \ud800", "x" * 100_000, "a\0b"], ids=["none", "number", "surrogate", "long", "nul"])
    def test_what_is_no_checkpoint_is_refused(self, bench: Bench, what: Any) -> None:
        """By the session, and by the engine, whose record has it; never by an error of Python's."""
        bench.session.train(batches=1, wait=True)
        with pytest.raises(DetJupyterError):
            bench.session.restore(what)
        with pytest.raises(CheckpointError):
            bench.session.send(Restore(what)).result(LIMIT_S)
        assert bench.session.state == "finished"

    def test_one_that_another_session_is_writing_is_no_checkpoint(self, bench: Bench, disk: SlowDisk, tmp_path: Path) -> None:
        """Although its files may look like one of Determined, which has no manifest."""
        bench.session.step(3)
        bench.adapter.on_save = lambda directory: ((directory / "state_dict.pth").touch(), disk._write(directory))
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        assert bench.session.run is not None
        place = bench.store.home / "checkpoints" / bench.session.run.id
        other = make_bench(tmp_path / "other", behind_bytes=False)
        try:
            [half] = place.iterdir()
            with pytest.raises(CheckpointError, match="being written"):
                other.session.restore(half)
            assert (other.trial.weight, other.session.batches_trained) == (0, 0)
            disk.release.set()
            other.session.restore(saving.result(LIMIT_S))
            assert (other.trial.weight, other.session.batches_trained) == (3, 3)
        finally:
            other.session.close()

    def test_one_that_is_deleted_while_it_is_read_changes_nothing(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another process may delete the run, or mount the disk again; the trial continues from its current state."""
        saved = bench.session.checkpoint()
        bench.session.step(2)

        def delete(directory: Path, *, trust: bool) -> None:
            shutil.rmtree(directory)
            (directory / "weight.json").read_bytes()

        monkeypatch.setattr(bench.adapter, "restore", delete)
        with pytest.raises(CheckpointError, match="cannot be read: No such file"):
            bench.session.restore(saved)
        with pytest.raises(CheckpointError, match="no checkpoint here"):
            bench.session.restore(saved)
        bench.session.step(1)
        assert (bench.trial.weight, bench.session.batches_trained) == (3, 3)

    def test_a_run_whose_checkpoints_are_deleted_while_one_is_written_goes_on(self, bench: Bench, disk: SlowDisk) -> None:
        """The checkpoint that is being written is lost, and the sender gets an error; the next one is complete."""
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        assert bench.session.run is not None
        shutil.rmtree(bench.store.home / "checkpoints")
        disk.release.set()
        with pytest.raises(CheckpointError, match="could not be written: No such file"):
            saving.result(LIMIT_S)
        bench.session.step(1)
        saved = bench.session.checkpoint()
        assert names(bench) == {saved.id}
        bench.session.restore(saved)

    def test_the_code_is_verified_too(self, bench: Bench) -> None:
        """It would be imported."""
        (bench.root / "toy.py").write_text("x = 1\n")
        saved = bench.session.checkpoint()
        (Path(saved.path) / "code" / "toy.py").write_text("x = 2\n")
        with pytest.raises(CheckpointError, match=r"code/toy\.py differs from what was written"):
            bench.session.restore(saved)

    def test_one_from_before_hashes_is_restored(self, bench: Bench) -> None:
        """Format 1 had a class and two counts."""
        bench.session.step(3)
        saved = bench.session.checkpoint()
        old = {"format": 1, "run_id": saved.run_id, "batches_trained": 3, "records_trained": 12, "trial_class": "ToyTrial"}
        (Path(saved.path) / MANIFEST).write_text(json.dumps(old))
        bench.session.step(1)
        bench.session.restore(saved.id)
        assert (bench.session.batches_trained, bench.trial.weight, bench.session.record().records_trained) == (3, 3, 12)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"format": 99}, "newer detjupyter .*99"),
            ({"files": {"../x": {"sha256": "", "size_bytes": 0}}}, "a path leads out of the checkpoint"),
        ],
    )
    def test_a_manifest_that_makes_no_sense_is_refused(self, bench: Bench, change: dict[str, Any], words: str) -> None:
        """A newer version is named as such; a path outside of the checkpoint is never read."""
        saved = bench.session.checkpoint()
        manifest = Path(saved.path) / MANIFEST
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
        with pytest.raises(CheckpointError, match=words):
            bench.session.restore(saved)

    def test_what_a_dead_process_left_is_swept_away(self, bench: Bench) -> None:
        """At the next write, and only what has the name of something unfinished."""
        saved = bench.session.checkpoint()
        left = Path(saved.path).with_name(partial_name("left"))
        left.mkdir()
        (left / "weight.json").write_text("1")
        bench.session.checkpoint()
        assert not left.exists()
        assert Path(saved.path).exists()


class TestCode:
    """A checkpoint holds the files that ship, as they were loaded."""

    def test_they_are_written_once_and_shared(self, bench: Bench) -> None:
        """Checkpoints of the same code share its files where the disk can; deleting one leaves the others whole."""
        (bench.root / "toy.py").write_text("x = 1\n")
        (bench.root / "lib").mkdir()
        (bench.root / "lib" / "more.py").write_text("y = 2\n")
        (bench.root / "lib" / "more.py").chmod(0o755)
        one, two = (Path(bench.session.checkpoint().path) / "code" / "lib" / "more.py" for _ in range(2))
        assert one.read_text() == two.read_text() == "y = 2\n"
        assert os.access(two, os.X_OK)
        assert one.stat().st_ino == two.stat().st_ino
        one.unlink()
        assert two.read_text() == "y = 2\n"

    @pytest.mark.parametrize("needs_driver", [False, True])
    def test_a_code_store_that_was_deleted_is_written_again(
        self, bench: Bench, needs_driver: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The session writes it, even if the engine's own thread writes the checkpoint and cannot run tasks at that time."""
        monkeypatch.setattr(writing, "CODE_LIMIT_S", 2 * LIMIT_S)
        bench.adapter.needs_driver = needs_driver
        (bench.root / "toy.py").write_text("x = 1\n")
        for _ in range(2):
            saving = bench.session.send(MakeCheckpoint())
            assert (Path(saving.result(LIMIT_S).path) / "code" / "toy.py").read_text() == "x = 1\n"
            shutil.rmtree(bench.store.home / "code")

    def test_reloaded_code_is_the_later_ones(self, bench: Bench) -> None:
        """Each checkpoint has the code that trained it."""
        (bench.root / "toy.py").write_text("x = 1\n")
        before = bench.session.checkpoint()
        (bench.root / "toy.py").write_text("x = 2\n")
        between = bench.session.checkpoint()
        bench.session.reload()
        after = bench.session.checkpoint()
        assert [(Path(saved.path) / "code" / "toy.py").read_text() for saved in (before, between, after)] == [
            "x = 1\n",
            "x = 1\n",
            "x = 2\n",
        ]

    def test_a_reload_while_files_are_written_changes_nothing_in_them(self, bench: Bench, disk: SlowDisk) -> None:
        """Nor does the next checkpoint share what it should not."""
        (bench.root / "toy.py").write_text("x = 1\n")
        saving = bench.session.send(MakeCheckpoint())
        assert disk.reached.wait(LIMIT_S)
        (bench.root / "toy.py").write_text("x = 2\n")
        bench.session.reload()
        disk.release.set()
        saved = [saving.result(LIMIT_S), bench.session.checkpoint()]
        assert [(Path(one.path) / "code" / "toy.py").read_text() for one in saved] == ["x = 1\n", "x = 2\n"]


def record(number: int, metric: float | None = None, *, run: str = "r", automatic: bool = True) -> CheckpointRecord:
    """Return the ``number``-th checkpoint of a run."""
    return CheckpointRecord(f"{run}{number}", run, number, float(number), "/nowhere", 1, automatic=automatic, metric=metric)


class TestRetention:
    """Which checkpoints stay."""

    @pytest.mark.parametrize(
        ("rule", "metrics", "kept"),
        [
            (Retention(), [3.0, 1.0, 2.0], [1, 2]),
            (Retention(), [3.0, 2.0, 1.0], [2]),
            (Retention(), [None, None, None], [2]),
            (Retention(), [1.0, 1.0, 1.0], [0, 2]),
            (Retention(), [float("nan"), 5.0, None], [1, 2]),
            (Retention(trial_best=2, trial_latest=0), [3.0, None, 1.0, 2.0, 1.0], [2, 4]),
            (Retention(trial_best=0, trial_latest=2), [1.0, 2.0, 3.0], [1, 2]),
            (Retention(trial_best=0, trial_latest=0), [1.0, 2.0], []),
            (Retention(experiment_best=2, trial_best=0, trial_latest=1), [1.0, 2.0, 3.0, 4.0], [0, 1, 3]),
            (Retention(trial_best=9, trial_latest=9), [1.0, None], [0, 1]),
        ],
    )
    def test_the_best_and_the_latest_of_a_trial(self, rule: Retention, metrics: list[float | None], kept: list[int]) -> None:
        """A metric that is not known is never the best; of equal ones the first is."""
        written = [record(number, metric) for number, metric in enumerate(metrics)]
        expired = rule.expired(written, smaller_is_better=True)
        assert [one.batches_trained for one in written if one not in expired] == kept

    def test_larger_may_be_better(self) -> None:
        """The searcher says."""
        written = [record(0, 0.5), record(1, 0.9), record(2, 0.7), record(3, 0.6)]
        assert Retention().expired(written, smaller_is_better=False) == [written[0], written[2]]

    def test_limits_hold_for_each_trial_and_for_the_experiment(self) -> None:
        """Each has its own best and latest; the best of the experiment come on top, from wherever they are."""
        written = [
            record(0, 1.0, run="a"),
            record(1, 2.0, run="a"),
            record(2, 5.0, run="a"),
            record(0, 8.0, run="b"),
            record(1, 9.0, run="b"),
        ]
        by_trial = Retention(trial_best=1, trial_latest=1).expired(written, smaller_is_better=True)
        assert [one.id for one in by_trial] == ["a1"]
        over_all = Retention(experiment_best=2, trial_best=0, trial_latest=0).expired(written, smaller_is_better=True)
        assert [one.id for one in over_all] == ["a2", "b0", "b1"]

    def test_what_a_person_asked_for_stays_and_counts_for_nothing(self) -> None:
        """It does not push out what the training keeps."""
        written = [record(0, 0.1, automatic=False), record(1, 2.0), record(2, 1.0), record(3, 3.0, automatic=False)]
        assert Retention().expired(written, smaller_is_better=True) == [written[1]]

    @pytest.mark.parametrize(
        ("storage", "expected"),
        [
            ({}, Retention(0, 1, 1)),
            ({"save_experiment_best": 3}, Retention(3, 1, 1)),
            ({"save_trial_best": 0, "save_trial_latest": 2}, Retention(0, 0, 2)),
        ],
    )
    def test_the_configuration_says_what_stays(self, storage: dict[str, Any], expected: Retention) -> None:
        """Determined's defaults fill in what it leaves out."""
        assert Retention.of(read_config({"checkpoint_storage": storage}, Path("nowhere")).settings) == expected

    def test_checkpoints_are_ranked_best_first(self) -> None:
        """Those without a metric are not ranked."""
        written = [record(0), record(1, 2.0), record(2, 1.0)]
        assert best_first(written, smaller_is_better=True) == [written[2], written[1]]

    def test_a_training_deletes_what_is_superfluous(self, bench: Bench) -> None:
        """Row and files are deleted, except those of the best, the latest, and the requested ones."""
        errors = iter([3.0, 1.0, 2.0, 4.0])
        asked = bench.session.checkpoint()
        bench.adapter.on_validation_batch = lambda index: index or bench.adapter.__setattr__("validation_metrics", {"error": next(errors)})
        bench.session.train(batches=8, wait=True)
        assert bench.session.run is not None
        kept = bench.session.run.checkpoints()
        assert [(one.batches_trained, one.automatic, one.metric) for one in kept] == [(0, False, None), (4, True, 1.0), (8, True, 4.0)]
        assert names(bench) == {one.id for one in kept} >= {asked.id}
        assert len(bench.events("checkpoint")) == 5

    def test_those_of_a_period_that_a_person_gave_stay(self, bench: Bench) -> None:
        """They count as requested, like a single requested checkpoint."""
        bench.session.train(batches=6, checkpoint_every=2, wait=True)
        assert bench.session.run is not None
        assert [(one.batches_trained, one.automatic) for one in bench.session.run.checkpoints()] == [(2, False), (4, False), (6, False)]

    def test_best_and_latest_can_be_restored_by_name(self, bench: Bench) -> None:
        """The best by the metric that ranks, the latest by when it was written."""
        with pytest.raises(CheckpointError, match="no checkpoint of this definition yet"):
            bench.session.restore("latest")
        errors = iter([1.0, 2.0])
        bench.adapter.on_validation_batch = lambda index: index or bench.adapter.__setattr__("validation_metrics", {"error": next(errors)})
        bench.session.train(batches=4, wait=True)
        bench.session.restore("best")
        assert bench.session.batches_trained == bench.trial.weight == 2
        bench.session.restore("latest")
        assert bench.session.batches_trained == bench.trial.weight == 4

    def test_without_a_validation_there_is_no_best(self, bench: Bench) -> None:
        """It says why."""
        bench.session.checkpoint()
        with pytest.raises(CheckpointError, match="with a validation of the same batch"):
            bench.session.restore("best")
