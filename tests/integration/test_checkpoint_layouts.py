"""Checkpoints as Determined has written them since 0.12, and ours as its loader reads them; and what a kill leaves of one."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from integration.conftest import LINE

from detjupyter.errors import CheckpointError

if TYPE_CHECKING:
    from integration.conftest import Definition

LIMIT_S = 90.0

OLD = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from determined.pytorch import DataLoader, LRScheduler, PyTorchTrial

inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)


class OldTrial(PyTorchTrial):
    def __init__(self, context):
        self.context = context

    def build_model(self):
        return nn.Linear(1, 1)

    def optimizer(self, model):
        return torch.optim.SGD(model.parameters(), lr=self.context.get_hparam("lr"), momentum=0.9)

    def create_lr_scheduler(self, optimizer):
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        return LRScheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_BATCH)

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=4)

    def build_validation_data_loader(self):
        return DataLoader(TensorDataset(inputs, 2 * inputs), batch_size=20)

    def train_batch(self, batch, model, epoch_idx, batch_idx):
        x, y = batch
        return {"loss": ((model(x) - y) ** 2).mean()}

    def evaluate_batch(self, batch, model):
        x, y = batch
        return {"error": ((model(x) - y) ** 2).mean()}
"""

Write = Callable[[Path, dict[str, Any]], None]
"""Writes a state of today into a directory, as some version of Determined did."""


def _as_lists(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state as 0.12.13 and later save it: their random state of numpy is an array."""
    rng = dict(state["rng_state"])
    name, keys, *rest = rng["np_rng_state"]
    rng["np_rng_state"] = (name, np.array(keys, dtype=np.uint32), *rest)
    return {**{key: value for key, value in state.items() if key != "detjupyter"}, "rng_state": rng}


def _singular(state: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_state_dict": state["models_state_dict"][0],
        "optimizer_state_dict": state["optimizers_state_dict"][0],
        "lr_scheduler": next(iter(state["lr_schedulers_state_dict"]), None),
    }


def write_0_12_4(directory: Path, state: dict[str, Any]) -> None:
    """One model under singular keys, no counts; a whole module beside it that nobody needs."""
    torch.save(_singular(state), directory / "state_dict.pth")
    (directory / "model.pth").write_bytes(b"a pickle of the whole module")
    (directory / "metadata.json").write_text(json.dumps({"cluster_id": "c", "det_version": "0.12.4", "torch_version": "1.4.0"}))


def write_0_12_7(directory: Path, state: dict[str, Any]) -> None:
    """The same with callbacks, in torch's format before 1.6."""
    torch.save({**_singular(state), "callbacks": {}}, directory / "state_dict.pth", _use_new_zipfile_serialization=False)


def write_0_12_13(directory: Path, state: dict[str, Any]) -> None:
    """Lists and random states, after several processes."""
    models = [OrderedDict((f"module.{name}", value) for name, value in model.items()) for model in state["models_state_dict"]]
    torch.save({**_as_lists(state), "models_state_dict": models, "amp_state": None}, directory / "state_dict.pth")


def write_0_17(directory: Path, state: dict[str, Any]) -> None:
    """With a sequencer's state that tells the steps."""
    torch.save(_as_lists(state), directory / "state_dict.pth")
    (directory / "workload_sequencer.pkl").write_bytes(
        pickle.dumps(
            {"trial_id": 1, "last_ckpt": 5, "steps_completed": state["detjupyter"]["batches_trained"], "step_id": 1, "last_val": 0}
        )
    )
    load_data = {"trial_type": "PyTorchTrial", "experiment_config": {}, "hparams": {"global_batch_size": 4}, "trial_cls_spec": "m:T"}
    (directory / "load_data.json").write_text(json.dumps(load_data))
    (directory / "metadata.json").write_text(json.dumps({"framework": "torch-1.9", "format": "pickle"}))


def write_0_21(directory: Path, state: dict[str, Any]) -> None:
    """With counts in metadata and in a pickle of their own."""
    write_0_17(directory, state)
    (directory / "workload_sequencer.pkl").unlink()
    batches = state["detjupyter"]["batches_trained"]
    (directory / "trial_state.pkl").write_bytes(pickle.dumps({"trial_id": 1, "batches_trained": batches, "epochs_trained": 0}))
    (directory / "metadata.json").write_text(json.dumps({"determined_version": "0.21.0", "steps_completed": batches, "format": "pickle"}))


def saved_state(saved: Any) -> dict[str, Any]:
    """Return the state in a checkpoint of ours."""
    state: dict[str, Any] = torch.load(Path(saved.path) / "state_dict.pth", weights_only=True)
    return state


def foreign(tmp_path: Path, name: str = "foreign") -> Path:
    """Return a new directory for a checkpoint from elsewhere."""
    directory = tmp_path / name
    directory.mkdir()
    return directory


class TestDeterminedsLayouts:
    """Whatever the version that wrote it, the weights are there; what it kept of the rest is there, too."""

    @pytest.mark.parametrize(
        ("write", "batches"), [(write_0_12_4, 0), (write_0_12_7, 0), (write_0_12_13, 0), (write_0_17, 5), (write_0_21, 5)]
    )
    @pytest.mark.parametrize(("entrypoint", "text"), [("model_def:LineTrial", LINE), ("model_def:OldTrial", OLD)])
    def test_every_version_is_restored(
        self, entrypoint: str, text: str, write: Write, batches: int, define: Callable[..., Definition], tmp_path: Path
    ) -> None:
        """Model, optimizer and scheduler are as they were; counters go on where the version kept them. Nothing is trusted."""
        definition = define(model_def=text)
        hparams = {"lr": 0.125}
        session = definition.load(entrypoint, hparams=hparams)
        session.step(5)
        state = saved_state(session.checkpoint())
        directory = foreign(tmp_path)
        write(directory, state)
        other = definition.load(entrypoint, hparams=hparams, seed=7)
        other.restore(directory)
        assert other.batches_trained == batches
        mine, theirs = (saved_state(one.checkpoint()) for one in (session, other))
        for key in ("models_state_dict", "optimizers_state_dict", "lr_schedulers_state_dict"):
            assert _bits(mine[key]) == _bits(theirs[key])
        other.step(1)

    @pytest.mark.parametrize("place", ["state_dict.pth", "determined/state_dict.pth", "pedl/state_dict.pth", "checkpoint.pt"])
    def test_the_state_may_lie_in_several_places(self, place: str, line: Definition, tmp_path: Path) -> None:
        """As in the versions before."""
        session = line.load()
        session.step(2)
        file = foreign(tmp_path) / place
        file.parent.mkdir(exist_ok=True)
        torch.save(_as_lists(saved_state(session.checkpoint())), file)
        other = line.load(seed=2)
        other.restore(tmp_path / "foreign")
        assert torch.equal(other.trial.model[0].weight, session.trial.model[0].weight)

    def test_one_goes_on_as_determined_would(self, line: Definition, tmp_path: Path) -> None:
        """With the random states and the place in the data that the number of batches tells: the same losses to the bit."""
        given = {"hparams": {"shuffle": True, "dropout": 0.3}}
        session = line.load(**given)
        session.step(13)
        write_0_21(foreign(tmp_path), saved_state(session.checkpoint()))
        session.step(9)
        other = line.load(**given)
        other.restore(tmp_path / "foreign")
        assert other.record().records_trained == 52
        other.step(9)
        assert other.metrics("loss")[1].tolist() == session.metrics("loss")[1][13:].tolist()

    def test_a_model_that_wants_the_prefix_gets_it(self, define: Callable[..., Definition], tmp_path: Path) -> None:
        """A definition may wrap its model itself."""
        wrapped = LINE.replace(
            "self.optimizer = ",
            "self.model = context.models[0] = nn.ModuleDict({'module': self.model})['module']\n        self.optimizer = ",
        )
        session = define(model_def=LINE).load()
        session.step(1)
        write_0_21(foreign(tmp_path), saved_state(session.checkpoint()))
        text = wrapped.replace("= nn.ModuleDict({'module': self.model})['module']", "= self.model")
        other = define("other", model_def=text).load(seed=2)
        container = torch.nn.ModuleDict({"module": other.trial.model})
        other.at_batch(lambda trial: trial.context.models.__setitem__(0, container))
        other.restore(tmp_path / "foreign")
        assert torch.equal(container["module"][0].weight, session.trial.model[0].weight)

    def test_two_models_do_not_come_from_one(self, line: Definition, tmp_path: Path) -> None:
        """The singular keys are for the only model."""
        session = line.load()
        session.step(1)
        write_0_12_4(foreign(tmp_path), saved_state(session.checkpoint()))
        line.edit("self.optimizer = ", "context.wrap_model(nn.Linear(1, 1))\n        self.optimizer = ")
        with pytest.raises(CheckpointError, match="The state is of 1 models, the trial has 2"):
            line.load().restore(tmp_path / "foreign")

    def test_a_pickle_that_could_run_code_is_asked_about(self, line: Definition, tmp_path: Path) -> None:
        """Nothing of it is run without trust; with it, all of it is there."""
        session = line.load()
        session.step(3)
        state = {**_as_lists(saved_state(session.checkpoint())), "callbacks": {"mine": argparse.Namespace(best=1)}}
        torch.save(state, foreign(tmp_path) / "state_dict.pth")
        other = line.load(seed=2)
        before = other.trial.model[0].weight.clone()
        with pytest.raises(CheckpointError, match="reading that may run any code") as raised:
            other.restore(tmp_path / "foreign")
        assert "trust=True" in (raised.value.hint or "")
        assert torch.equal(other.trial.model[0].weight, before)
        other.restore(tmp_path / "foreign", trust=True)
        assert torch.equal(other.trial.model[0].weight, session.trial.model[0].weight)

    def test_the_pickles_beside_run_nothing(self, line: Definition, tmp_path: Path) -> None:
        """The counts in one that names a function are not read; the rest is restored."""
        session = line.load()
        session.step(1)
        directory = foreign(tmp_path)
        write_0_17(directory, saved_state(session.checkpoint()))
        marker = tmp_path / "run"

        class Hostile:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(marker),)

        (directory / "workload_sequencer.pkl").write_bytes(pickle.dumps({"steps_completed": Hostile()}))
        session.restore(directory)
        assert not marker.exists()
        assert session.batches_trained == 0

    @pytest.mark.parametrize(("content", "words"), [(b"", "cannot be read"), (b"PK torn", "cannot be read"), (None, "lacks")])
    def test_one_that_is_no_state_is_refused(self, line: Definition, tmp_path: Path, content: bytes | None, words: str) -> None:
        """It says what is wrong with which file."""
        file = foreign(tmp_path) / "state_dict.pth"
        if content is None:
            torch.save({"models_state_dict": []}, file)
        else:
            file.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"state_dict\.pth {words}"):
            line.load().restore(tmp_path / "foreign")

    def test_shapes_that_differ_are_named(self, line: Definition) -> None:
        """Each tensor with both of its shapes."""
        session = line.load()
        session.step(1)
        saved = session.checkpoint()
        line.edit("nn.Linear(1, 8)", "nn.Linear(1, 9)")
        line.edit("nn.Linear(8, 1)", "nn.Linear(9, 1)")
        with pytest.raises(CheckpointError, match=r"0\.weight is \(8, 1\) in the state and \(9, 1\) in the model") as raised:
            line.load().restore(saved.path)
        assert "2.weight is (1, 8) in the state and (1, 9) in the model" in str(raised.value)


class TestOurLayout:
    """What Determined's loader looks for is there."""

    def test_it_is_determineds(self, line: Definition) -> None:
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
        """What nobody can verify is not restored."""
        saved = line.load().checkpoint()
        (Path(saved.path) / "detjupyter.json").unlink()
        with pytest.raises(CheckpointError, match=r"torn: detjupyter\.json is missing"):
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
        pending = session.at_batch(lambda _: session._checkpoints.begin(automatic=False))
        session.at_batch(lambda trial: trial.counting.seen["batches"].append(2))
        session.at_batch(lambda trial: trial.counting.seen["deep"][0].update(n=9))
        assert saved_state(pending.write())["callbacks"] == {"c": {"batches": [1], "deep": [{"n": 0}]}}


CHILD = """
import sys, time
import detjupyter as dj
from detjupyter.training.checkpoints import checkpoint

session = dj.load("model_def:LineTrial", path=sys.argv[1], seed=1, device="cpu")
session.step(2)
print(session.checkpoint().path, flush=True)
session.step(2)
seal = checkpoint.seal

def slow(directory, manifest):
    print(directory, flush=True)
    time.sleep(600)
    return seal(directory, manifest)

checkpoint.seal = slow
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
    with pytest.raises(CheckpointError, match=r"detjupyter\.json is missing"):
        session.restore(half)
    session.restore(complete)
    assert session.batches_trained == 2
    session.step(2)


def _bits(value: Any) -> Any:
    """Return a state in which tensors can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _bits(inner) for key, inner in value.items()}
    return [_bits(inner) for inner in value] if isinstance(value, (list, tuple)) else value


class TestTheMagic:
    """``%det_restore`` asks before anything that could run code is read."""

    @pytest.fixture
    def untrusted(self, line: Definition, tmp_path: Path) -> Path:
        """Return a checkpoint that needs trust, of three batches of a session that is now the current one."""
        session = line.load()
        session.step(3)
        state = {**_as_lists(saved_state(session.checkpoint())), "callbacks": {"mine": argparse.Namespace(best=1)}}
        directory = foreign(tmp_path)
        torch.save(state, directory / "state_dict.pth")
        (directory / "metadata.json").write_text(json.dumps({"steps_completed": 3}))
        session.step(1)
        return directory

    @pytest.mark.parametrize(("answer", "option", "batches"), [("y", "", 3), ("n", "", 4), (None, "", 4), (None, "--trust", 3)])
    def test_it_asks_once(self, answer: str | None, option: str, batches: int, untrusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A yes restores, a no does not; where nobody can answer, ``--trust`` says it beforehand."""
        from detjupyter.errors import UntrustedCheckpointError
        from detjupyter.magics.training import TrainingMagics
        from detjupyter.training.registry import registry

        questions = []

        def reply(question: str) -> str:
            questions.append(question)
            if answer is None:
                raise EOFError
            return answer

        monkeypatch.setattr("builtins.input", reply)
        magics = TrainingMagics(shell=None)
        if batches == 3:
            magics.det_restore(f"{untrusted} {option}")
        else:
            with pytest.raises(UntrustedCheckpointError, match="--trust"):
                magics.det_restore(f"{untrusted} {option}")
        assert registry.get(None).batches_trained == batches
        assert len(questions) == (not option)
