"""The files of a checkpoint: what Determined's loader looks for is there, and a kill leaves no half of one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.definition import LINE, Definition
from support.inside import driver_of, loaded_in
from support.layouts import saved_state
from support.listening import listening
from support.waiting import LIMIT_S

import detjupyter as dj
from detjupyter.errors import CheckpointError


class TestOurLayout:
    """What Determined's loader looks for is there."""

    def test_files_keys_and_code_are_those_of_determined(self, line: Definition) -> None:
        """Files, keys and the code."""
        (line.root / "const.yaml").write_text("searcher:\n  metric: error\nhyperparameters:\n  lr: 0.5\n")
        session = line.load(hparams={"dropout": 0.25})
        session.step(3)
        place = Path(session.checkpoint().path)
        assert {path.name for path in place.iterdir()} == {"state_dict.pth", "load_data.json", "metadata.json", "code", "detjupyter.json"}
        data = json.loads((place / "load_data.json").read_text())
        assert data == {
            "trial_type": "PyTorchTrial",
            "experiment_config": {"searcher": {"metric": "error"}, "hyperparameters": {"lr": 0.5}},
            "hparams": {"lr": 0.5, "dropout": 0.25},
            "trial_cls_spec": "model_def:LineTrial",
            "is_trainer": True,
        }
        metadata = json.loads((place / "metadata.json").read_text())
        assert (metadata["steps_completed"], metadata["format"]) == (3, "pickle")
        assert {path.name for path in (place / "code").iterdir()} == {"model_def.py", "const.yaml"}

    def test_a_definition_of_one_file_is_named_by_its_module(self, line: Definition) -> None:
        """Determined has no entrypoints without one."""
        import detjupyter as dj

        session = dj.load(":LineTrial", path=line.root / "model_def.py", device="cpu")
        place = Path(session.checkpoint().path)
        assert json.loads((place / "load_data.json").read_text())["trial_cls_spec"] == "model_def:LineTrial"
        assert [path.name for path in (place / "code").iterdir()] == ["model_def.py"]

    def test_one_without_its_manifest_is_torn_not_foreign(self, line: Definition) -> None:
        """A checkpoint without a manifest cannot be verified, so it is not restored."""
        saved = line.load().checkpoint()
        (Path(saved.path) / "detjupyter.json").unlink()
        with pytest.raises(CheckpointError, match=r"incomplete: detjupyter\.json is missing"):
            line.load().restore(saved.path)

    def test_tensors_that_share_memory_share_it_in_the_file(self, define: Callable[..., Definition]) -> None:
        """Tied weights are written once."""
        tied = LINE.replace("nn.Linear(8, 1)))", "nn.Linear(8, 1)))\n        self.model.again = self.model[0]")
        session = define(model_def=tied).load()
        session.step(1)
        model = saved_state(session.checkpoint())["models_state_dict"][0]
        assert model["again.weight"].data_ptr() == model["0.weight"].data_ptr()

    def test_the_copy_is_of_one_moment(self, define: Callable[..., Definition]) -> None:
        """What a callback changes while the files are written is not in them."""
        callback = """
            from detjupyter.pytorch import PyTorchCallback

            class Counting(PyTorchCallback):
                def __init__(self):
                    self.seen = {"batches": [], "deep": [{"n": 0}]}

                def state_dict(self):
                    return self.seen
        """
        text = (
            LINE
            + textwrap.dedent(callback)
            + "\n\ndef _callbacks(self):\n    self.counting = Counting()\n    return {'c': self.counting}\n\n\n"
        )
        session = define(model_def=text + "LineTrial.build_callbacks = _callbacks\n").load()
        session.step(1)
        session.at_batch(lambda trial: trial.counting.seen["batches"].append(1))
        pending = session.at_batch(lambda _: driver_of(session).trial.checkpoints._begin(loaded_in(session), False, None))
        session.at_batch(lambda trial: trial.counting.seen["batches"].append(2))
        session.at_batch(lambda trial: trial.counting.seen["deep"][0].update(n=9))
        assert saved_state(pending.write())["callbacks"] == {"c": {"batches": [1], "deep": [{"n": 0}]}}


CHILD = """
import os, sys, time
import detjupyter as dj
from detjupyter.engine.checkpoints import writing

session = dj.load("model_def:LineTrial", path=sys.argv[1], seed=1, device="cpu")
session.step(2)
print(session.checkpoint().path, flush=True)
session.step(2)
seal = writing.seal

def slow(*arguments):
    with open(1, "w", closefd=False) as pipe:  # print and os.write of the trial's thread go to its log
        pipe.write(f"{arguments[0]}\\n")
    time.sleep(600)
    return seal(*arguments)

writing.seal = slow
session.checkpoint()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_kill_in_mid_write_leaves_nothing_that_looks_like_a_checkpoint(line: Definition) -> None:
    """The one before is whole; the half one is refused by its path, and swept away by the next write of its run."""
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(line.root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        complete, half = (Path(process.stdout.readline().strip()) for _ in range(2))
        os.kill(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    assert half.name.endswith(".partial")
    assert (half / "state_dict.pth").is_file()
    assert sorted(path.name for path in complete.parent.iterdir() if not path.name.startswith(".")) == [complete.name]
    session = line.load()
    with pytest.raises(CheckpointError, match=r"it is being written or deleted, or the process that did so has ended"):
        session.restore(half)
    session.restore(complete)
    assert session.batches_trained == 2
    session.step(2)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_what_a_killed_process_left_is_tidied_when_its_run_is_found_interrupted(line: Definition) -> None:
    """The incomplete checkpoint is deleted; those of other runs, and whatever else is there, stay."""
    session = line.load()
    session.step(1)
    own = Path(session.checkpoint().path).parent
    (own / ".mine.partial").mkdir()
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(line.root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        complete, half = (Path(process.stdout.readline().strip()) for _ in range(2))
        (complete.parent / "notes.txt").write_text("x")
        assert dj.run(complete.parent.name).is_live
        assert half.is_dir()  # a live run keeps it
        os.kill(process.pid, signal.SIGKILL)
    process.wait(LIMIT_S)
    assert dj.run(complete.parent.name).state == "interrupted"
    assert sorted(path.name for path in complete.parent.iterdir()) == sorted([complete.name, "notes.txt"])
    assert [one.id for one in dj.run(complete.parent.name).checkpoints()] == [complete.name]
    assert (own / ".mine.partial").is_dir()


UNRECORDED = """
import os, sqlite3, sys
import detjupyter as dj
from detjupyter.store.location import home

session = dj.load("model_def:LineTrial", path=sys.argv[1], seed=1, device="cpu")
session.step(2)
print(session.checkpoint().path, flush=True)
lock = sqlite3.connect(home() / "runs.sqlite", isolation_level=None, timeout=30)
lock.execute("BEGIN IMMEDIATE")
session.step(2)
print(session.checkpoint().path, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_complete_checkpoint_that_was_not_recorded_is_adopted(line: Definition) -> None:
    """Its process was killed while another one held the lock of the history: it is listed, found, and restored without a question."""
    process = subprocess.run([sys.executable, "-c", UNRECORDED, str(line.root)], stdout=subprocess.PIPE, text=True, timeout=LIMIT_S)
    first, second = map(Path, process.stdout.split())
    assert process.returncode == -signal.SIGKILL
    shutil.copytree(second, second.with_name(f"{second.name}-damaged"))
    (second.with_name(f"{second.name}-damaged") / "detjupyter.json").write_text("{")
    (run,) = dj.runs()
    assert run.state == "interrupted"
    assert [(one.id, one.batches_trained) for one in run.checkpoints()] == [(first.name, 2), (second.name, 4)]
    size_bytes = sum(path.stat().st_size for path in second.rglob("*") if path.is_file())
    assert run.checkpoints()[1].size_bytes == size_bytes
    session = line.load()
    session.restore(second.name)
    assert session.batches_trained == 4
    assert dj.load_checkpoint(second.name, device="cpu") is not None
    assert len(run.checkpoints()) == 2


class TestCheckpointFiles:
    """What is written, and under which names."""

    def test_random_states_are_under_determineds_names(self, line: Definition) -> None:
        """One of each generator that a trial draws from; that of a GPU only where there is one."""
        session = line.load()
        session.step(1)
        state = saved_state(session.checkpoint())
        assert set(state["rng_state"]) == {"cpu_rng_state", "np_rng_state", "random_rng_state"}
        assert [len(state[f"{what}_state_dict"]) for what in ("models", "optimizers", "lr_schedulers")] == [1, 1, 0]
        assert list(state["models_state_dict"][0]) == list(session.trial.model.state_dict())

    def test_its_name_is_that_of_its_directory_and_what_callbacks_hear(self, line: Definition) -> None:
        """No two have the same; the name of the framework is in the metadata."""
        session = listening(line).load()
        session.step(1)
        first = session.checkpoint()
        session.step(1)
        second = session.checkpoint()
        assert session.trial.periods.saved == [first.id, second.id] == [Path(one.path).name for one in (first, second)]
        assert first.id != second.id
        metadata = json.loads((Path(second.path) / "metadata.json").read_text())
        assert (metadata["framework"], metadata["format"], metadata["steps_completed"]) == (f"torch-{torch.__version__}", "pickle", 2)

    def test_where_the_configuration_would_store_them_nothing_is_written(self, line: Definition, tmp_path: Path) -> None:
        """Checkpoints are stored next to the history; buckets and directories of a cluster are not accessed."""
        there = tmp_path / "there"
        session = line.load(config={"checkpoint_storage": {"type": "shared_fs", "host_path": str(there), "storage_path": "x"}})
        session.step(1)
        assert Path(session.checkpoint().path).is_relative_to(tmp_path / "history")
        assert not there.exists()
