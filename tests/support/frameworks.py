"""One small model definition for each framework: linear regression with noise, whose next batch depends on all of its state."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detjupyter.definition.config import Config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.framework.adapter import TrialAdapter, TrialOptions
from detjupyter.framework.framework import Framework, find_framework

NUMPY_LINEAR = Path(__file__).parents[1] / "frameworks" / "numpy_linear"
"""What an installed package looks like: a package and its ``dist-info``."""

RECORDS, BATCH, PER_EPOCH = 30, 4, 8
"""The last batch of an epoch holds two records."""

_NUMPY = """
import numpy as np
from numpy_linear import LinearTrial


class RidgeTrial(LinearTrial):
    def __init__(self, context):
        self.context = context
        self.weights = context.wrap_weights(np.random.normal(size=context.get_hparams().get("features", 3)))

    def build_training_data(self):
        inputs = np.linspace(-1, 1, 90).reshape(30, 3)
        return inputs, inputs @ [1.0, 2.0, 3.0]

    def build_validation_data(self):
        np.random.normal(size=7)
        return self.build_training_data()

    def train_batch(self, batch, epoch_idx, batch_idx):
        inputs, targets = batch
        if batch_idx == self.context.get_hparams().get("fails_at"):
            raise ZeroDivisionError("of the definition")
        if batch_idx == self.context.get_hparams().get("stops_at"):
            self.context.set_stop_requested(True)
        errors = (inputs + np.random.normal(scale=0.01, size=inputs.shape)) @ self.weights - targets
        self.context.step(2 * inputs.T @ errors / len(errors))
        metrics = {"loss": (errors**2).mean(), "batch": self.context.current_train_batch(), "epoch": epoch_idx, "first": inputs[0, 0]}
        return metrics if batch_idx % 2 else {**metrics, "even": 1.0}

    def evaluate_batch(self, batch):
        inputs, targets = batch
        return {"error": ((inputs @ self.weights - targets) ** 2).mean() + np.random.random()}
"""

_PYTORCH = """
import numpy as np
import torch
from torch.utils.data import TensorDataset
from detjupyter.pytorch import DataLoader, PyTorchTrial

inputs = torch.linspace(-1, 1, 90, dtype=torch.double).reshape(30, 3)
targets = inputs @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.double)


class RidgeTrial(PyTorchTrial):
    def __init__(self, context):
        self.context = context
        self.model = context.wrap_model(torch.nn.Linear(context.get_hparams().get("features", 3), 1, bias=False).double())
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9))

    def build_training_data_loader(self):
        return DataLoader(TensorDataset(inputs, targets), batch_size=4, shuffle=True)

    def build_validation_data_loader(self):
        torch.rand(7)
        return DataLoader(TensorDataset(inputs, targets), batch_size=4)

    def train_batch(self, batch, epoch_idx, batch_idx):
        inputs, targets = batch
        if batch_idx == self.context.get_hparams().get("fails_at"):
            raise ZeroDivisionError("of the definition")
        if batch_idx == self.context.get_hparams().get("stops_at"):
            self.context.set_stop_requested(True)
        noise = 0.01 * torch.rand(inputs.shape) + 0.01 * np.random.random()
        loss = ((self.model(inputs + noise).squeeze(1) - targets) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        metrics = {"loss": loss, "batch": self.context.current_train_batch(), "epoch": epoch_idx, "first": inputs[0, 0]}
        return metrics if batch_idx % 2 else {**metrics, "even": 1.0}

    def evaluate_batch(self, batch):
        inputs, targets = batch
        return {"error": ((self.model(inputs).squeeze(1) - targets) ** 2).mean() + torch.rand(()) + np.random.random()}
"""

DEFINITIONS = {"numpy_linear": _NUMPY, "pytorch": _PYTORCH}


def install_numpy_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the framework of numpy where an installed package is found, in this process and in those that it starts."""
    monkeypatch.syspath_prepend(str(NUMPY_LINEAR))
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(place for place in (str(NUMPY_LINEAR), *places) if place))


def write_definition(root: Path, framework: str) -> Path:
    """Write the definition of a framework into ``root``."""
    root.mkdir(exist_ok=True)
    (root / "model_def.py").write_text(textwrap.dedent(DEFINITIONS[framework]), encoding="utf-8")
    return root


@dataclass(frozen=True)
class FrameworkCase:
    """A framework, and trials of its small definition.

    Attributes:
        name: The framework's.
        root: The directory of the definition.
    """

    name: str
    root: Path

    @property
    def framework(self) -> Framework:
        """The record, as everything else finds it."""
        return find_framework(self.name)

    def options(self, seed: int = 1, **hparams: Any) -> TrialOptions:
        """Return the options of a trial whose code is imported again."""
        loaded = ModelDefinition(self.root).load("model_def:RidgeTrial")
        config = Config(hyperparameters={"global_batch_size": BATCH, "lr": 0.05, "momentum": 0.9, **hparams})
        return TrialOptions(loaded.trial_class, config, seed, "cpu")

    def build(self, seed: int = 1, **hparams: Any) -> TrialAdapter:
        """Return the adapter of a new trial."""
        return self.framework.build(self.options(seed, **hparams))


def train(
    adapter: TrialAdapter, batches: range, between: Callable[[int], object] = lambda _: None, *, begins: bool = True
) -> dict[str, list[float]]:
    """Train on batches by their index, as the engine does; return the metrics of each, with None for NaN.

    ``between`` is called before each batch with its index, outside of the trial's random states. Without ``begins``, the current
    training continues.
    """
    rows = []
    if begins:
        with adapter.active():
            adapter.begin(batches.start)
    for batch_idx in batches:
        between(batch_idx)
        with adapter.active():
            rows.append(adapter.train_batch(batch_idx)[0])
    with adapter.active():
        columns = adapter.fetch(rows)
    return {name: [None if np.isnan(value) else float(value) for value in values] for name, values in columns.items()}


def validated(adapter: TrialAdapter, *, batches: int | None = None) -> Any:
    """Validate, at most on ``batches`` batches, and return the metrics, None if it was closed before the end.

    The random states of the trial are left and entered again after each batch, as they are when a session pauses.
    """
    steps = adapter.validate()
    done = 0
    while batches is None or done < batches:
        try:
            with adapter.active():
                done, _ = next(steps)
        except StopIteration as end:
            return end.value
    steps.close()
    return None
