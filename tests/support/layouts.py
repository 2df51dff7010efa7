"""Checkpoints as versions of Determined wrote them, and a definition of that time."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

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


def as_lists(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state as 0.12.13 and later save it: their random state of numpy is an array."""
    rng = dict(state["rng_state"])
    name, keys, *rest = rng["np_rng_state"]
    rng["np_rng_state"] = (name, np.array(keys, dtype=np.uint32), *rest)
    return {**{key: value for key, value in state.items() if key != "detjupyter"}, "rng_state": rng}


def singular(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of one model as 0.12.4 saved it: each part under a separate key."""
    return {
        "model_state_dict": state["models_state_dict"][0],
        "optimizer_state_dict": state["optimizers_state_dict"][0],
        "lr_scheduler": next(iter(state["lr_schedulers_state_dict"]), None),
    }


def write_0_12_4(directory: Path, state: dict[str, Any]) -> None:
    """One model under singular keys, no counts; and a whole module that is not needed."""
    torch.save(singular(state), directory / "state_dict.pth")
    (directory / "model.pth").write_bytes(b"a pickle of the whole module")
    (directory / "metadata.json").write_text(json.dumps({"cluster_id": "c", "det_version": "0.12.4", "torch_version": "1.4.0"}))


def write_0_12_7(directory: Path, state: dict[str, Any]) -> None:
    """The same with callbacks, in torch's format before 1.6."""
    torch.save({**singular(state), "callbacks": {}}, directory / "state_dict.pth", _use_new_zipfile_serialization=False)


def write_0_12_13(directory: Path, state: dict[str, Any]) -> None:
    """Lists and random states, after several processes."""
    models = [OrderedDict((f"module.{name}", value) for name, value in model.items()) for model in state["models_state_dict"]]
    torch.save({**as_lists(state), "models_state_dict": models, "amp_state": None}, directory / "state_dict.pth")


def write_0_17(directory: Path, state: dict[str, Any]) -> None:
    """With a sequencer's state that tells the steps."""
    torch.save(as_lists(state), directory / "state_dict.pth")
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


def bits(value: Any) -> Any:
    """Return a state in which tensors can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: bits(inner) for key, inner in value.items()}
    return [bits(inner) for inner in value] if isinstance(value, (list, tuple)) else value
