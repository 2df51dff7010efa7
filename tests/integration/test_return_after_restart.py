"""The way back after a kernel was restarted or killed: checkpoints by time, and the checkpoints of earlier runs of a definition."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.definition import Definition
from support.waiting import wait_until

import detjupyter as dj
from detjupyter.engine import loop
from detjupyter.errors import CheckpointError, RunNotFoundError

SLOW = ("        x, y = batch\n        loss", "        x, y = batch\n        import time; time.sleep(0.02)\n        loss")


class TestCheckpointsByTime:
    """A long training saves checkpoints without being asked."""

    def test_a_training_without_checkpoints_saves_one_now_and_then(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Newer ones replace it; the losses are those of a training without them."""
        losses = []
        for interval_s in (0.3, 1e9):
            monkeypatch.setattr(loop, "SAVE_INTERVAL_S", interval_s)
            session = line.load()
            session.at_batch(lambda _: None)
            line.edit(*SLOW)
            session.reload()
            line.edit(*reversed(SLOW))
            session.train(batches=60, wait=True)
            assert session.run is not None
            saved = [event["checkpoint"]["batches_trained"] for event in session.run.events() if event["kind"] == "checkpoint"]
            assert saved[-1] == 60
            assert (len(saved) > 2) == (interval_s < 1)
            assert len(session.run.checkpoints()) <= 2  # the latest, and the best
            losses.append(session.metrics("loss")[1].tolist())
        assert losses[0] == losses[1]

    @pytest.mark.parametrize("period", [1, 100])
    def test_also_when_every_batch_ends_a_reporting_period(self, period: int, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two batches, wherever the loop is."""
        monkeypatch.setattr(loop, "SAVE_INTERVAL_S", 0.2)
        line.edit(*SLOW)
        session = line.load(config={"scheduling_unit": period})
        session.train(batches=40, wait=True)
        assert session.run is not None
        assert sum(event["kind"] == "checkpoint" for event in session.run.events()) > 1

    def test_not_if_the_policy_is_none_and_not_in_a_step(self, line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who wants none gets none but that of the end."""
        monkeypatch.setattr(loop, "SAVE_INTERVAL_S", 0.0)
        line.edit(*SLOW)
        session = line.load(config={"checkpoint_policy": "none"})
        session.step(10)
        session.train(batches=20, wait=True)
        assert session.run is not None
        assert [event["checkpoint"]["batches_trained"] for event in session.run.events() if event["kind"] == "checkpoint"] == [30]

    def test_a_killed_process_loses_little(self, line: Definition) -> None:
        """`kill -9` in the middle of a training; a new process restores the latest checkpoint, and continues."""
        line.edit(*SLOW)
        script = (
            "import detjupyter as dj\nfrom detjupyter.engine import loop\nloop.SAVE_INTERVAL_S = 0.3\n"
            "session = dj.load('model_def:LineTrial', device='cpu', seed=1)\nsession.train(batches=10**6)\nsession.wait()\n"
        )
        child = subprocess.Popen([sys.executable, "-c", script], cwd=line.root)
        try:
            wait_until(lambda: any(run.checkpoints() for run in dj.runs()), limit_s=100)
            time.sleep(0.5)
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        (run,) = dj.runs()
        assert run.state == "interrupted"
        session = dj.load("model_def:LineTrial", path=line.root, device="cpu", from_run="latest")
        assert session.batches_trained == run.checkpoints()[-1].batches_trained > 0
        session.train(batches=2, wait=True)
        assert session.run is not None
        assert session.run.parent == (run.id, run.checkpoints()[-1].batches_trained)


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the notices about other hyperparameters."""
    return [record.getMessage() for record in caplog.records if "other hyperparameters" in record.getMessage()]


class TestEarlierRuns:
    """``latest``, ``best`` and ``from_run`` in a session that has no checkpoint yet."""

    @pytest.fixture
    def trained(self, line: Definition) -> list[str]:
        """The ids of two runs of the definition: the first is better, the second is newer."""
        ids = []
        for batches, rate in ((40, 0.01), (10, 0.0001)):
            session = line.load(hparams={"lr": rate}, config={"searcher": {"name": "single", "metric": "error"}})
            session.train(batches=batches, wait=True)
            assert session.run is not None
            ids.append(session.run.id)
            session.close()
        return ids

    def test_they_are_those_of_the_definition(self, trained: list[str], line: Definition, tmp_path: Path) -> None:
        """The newest and the best run; not those of another definition; a checkpoint of the session itself comes first."""
        session = line.load()
        assert session.restore("latest").name.startswith(trained[1])
        assert session.restore("best").name.startswith(trained[0])
        session.train(batches=1, wait=True)
        assert session.run is not None
        assert session.restore("latest").name.startswith(session.run.id)
        other = Definition(tmp_path / "other").write(model_def=(line.root / "model_def.py").read_text())
        with pytest.raises(CheckpointError, match="no checkpoint of this definition"):
            other.load().restore("latest")
        with pytest.raises(CheckpointError, match="with a validation"):
            other.load().restore("best")

    def test_other_hyperparameters_than_the_checkpoints_are_named(
        self, trained: list[str], line: Definition, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The optimizer continues with the rate of the checkpoint; a reload with another rate applies that."""
        session = dj.load(from_run=trained[0])
        session.restore(session.checkpoint())
        assert not named(caplog)
        session = dj.load(from_run=trained[0], hparams={"lr": 0.5})
        assert session.at_batch(lambda trial: trial.optimizer.param_groups[0]["lr"]) == 0.01
        (notice,) = named(caplog)
        assert "(lr: 0.01 → 0.5)" in notice
        line.edit('get("lr", 0.01)', 'get("lr", 0.01) / 2')
        session.reload()
        assert session.at_batch(lambda trial: trial.optimizer.param_groups[0]["lr"]) == 0.25

    def test_a_load_continues_a_run_with_its_recipe(self, trained: list[str], line: Definition, monkeypatch: pytest.MonkeyPatch) -> None:
        """By its id: entrypoint, directory, hyperparameters, seed and state; what is given takes precedence."""
        session = dj.load(from_run=trained[0])
        assert session.batches_trained == 40
        assert session.definition.root == line.root
        assert {one.name: one.value for one in session.card().hyperparameters}["lr"] == 0.01
        assert session.card().seed == 1
        again = dj.load(from_run=trained[0], hparams={"lr": 0.5}, seed=9)
        assert {one.name: one.value for one in again.card().hyperparameters}["lr"] == 0.5
        assert again.card().seed == 9
        monkeypatch.chdir(line.root)
        assert dj.load("model_def:LineTrial", from_run="best").batches_trained == 40
        assert dj.load("model_def:LineTrial", from_run="latest").batches_trained == 10

    @pytest.mark.parametrize("is_named", [True, False])
    def test_a_config_with_another_name_is_found_again(self, line: Definition, is_named: bool) -> None:
        """Its path is in the recipe; the history lists the run, and a load continues it."""
        (line.root / "other.yaml").write_text("hyperparameters: {lr: 0.02}\n", encoding="utf-8")
        session = line.load(config=line.root / "other.yaml") if is_named else line.load()
        session.train(batches=2, wait=True)
        (run,) = dj.runs()
        assert run.recipe is not None
        assert run.recipe.config == str(line.root / "other.yaml")
        again = dj.load(from_run=run.id)
        assert {one.name: one.value for one in again.card().hyperparameters}["lr"] == 0.02

    def test_what_cannot_be_continued_is_named(self, line: Definition) -> None:
        """A run that does not exist, or has no checkpoint."""
        with pytest.raises(RunNotFoundError):
            dj.load(from_run="nothing")
        session = line.load(config={"checkpoint_policy": "none"})
        session.step(1)
        assert session.run is not None
        with pytest.raises(CheckpointError, match="has no checkpoint"):
            dj.load(from_run=session.run.id)
