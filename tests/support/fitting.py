"""A trial that a script builds and fits with a ``Trainer``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

import detjupyter as dj
from detjupyter import pytorch

BATCHES_PER_EPOCH = 10


class Moments(pytorch.PyTorchCallback):
    """Records its calls."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_training_start(self) -> None:
        """Note it."""
        self.seen.append("start")

    def on_training_workload_end(self, avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
        """Note where the reporting period ended, and how many batches it had."""
        assert avg_metrics["batches"] >= len(batch_metrics)
        self.seen.append((avg_metrics["batches"], len(batch_metrics)))

    def on_validation_end(self, metrics: dict[str, Any]) -> None:  # noqa: ARG002
        """Note it."""
        self.seen.append("validation")

    def on_checkpoint_upload_end(self, uuid: str) -> None:  # noqa: ARG002
        """Note it."""
        self.seen.append("checkpoint")

    def on_trial_shutdown(self) -> None:
        """Note it."""
        self.seen.append("shutdown")


class Fit(pytorch.PyTorchTrial):
    """Fits a line on 40 records, ten batches an epoch.

    Args:
        context: What ``pytorch.init`` gave.
        before_batch: Called with the trial and the batch's index before each batch.
        width: The number of hidden units.
        shuffle: Whether the records come in another order in each epoch.
        errors: What the validations return, one after the other; by default the true error.
    """

    def __init__(
        self,
        context: pytorch.PyTorchTrialContext,
        before_batch: Any = None,
        width: int = 8,
        *,
        shuffle: bool = True,
        errors: Iterator[float] | None = None,
    ) -> None:
        self.context = context
        self.before_batch = before_batch
        self.shuffle = shuffle
        self.errors = errors
        self.moments = Moments()
        self.model = context.wrap_model(nn.Sequential(nn.Linear(1, width), nn.Dropout(0.2), nn.Linear(width, 1)))
        lr = context.get_hparams().get("lr", 0.05)
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9))

    def data(self) -> TensorDataset:
        """Return 40 points of a line."""
        inputs = torch.linspace(-1, 1, 40).reshape(-1, 1)
        return TensorDataset(inputs, 2 * inputs + 1)

    def build_training_data_loader(self) -> pytorch.DataLoader:
        """Return them in batches of four."""
        return pytorch.DataLoader(self.data(), batch_size=4, shuffle=self.shuffle)

    def build_validation_data_loader(self) -> pytorch.DataLoader:
        """Return them all at once."""
        return pytorch.DataLoader(self.data(), batch_size=40)

    def build_callbacks(self) -> dict[str, pytorch.PyTorchCallback]:
        """Return what notes."""
        return {"moments": self.moments}

    def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> dict[str, Any]:  # noqa: ARG002
        """Train on a batch."""
        if self.before_batch is not None:
            self.before_batch(self, batch_idx)
        x, y = batch
        loss = ((self.model(x) - y) ** 2).mean()
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss, "first": x[0, 0]}

    def evaluate_batch(self, batch: Any) -> dict[str, Any]:
        """Return the next of the errors, or the true one."""
        x, y = batch
        return {"error": ((self.model(x) - y) ** 2).mean() if self.errors is None else next(self.errors)}


def trainer_of(seed: int = 0, before_batch: Any = None, **given: Any) -> pytorch.Trainer:
    """Return a trainer of a new trial, whose constructor takes more than the context."""
    torch.manual_seed(seed)
    with pytorch.init(**{"hparams": {"lr": 0.05}, **given}) as context:
        return pytorch.Trainer(Fit(context, before_batch, width=4), context)


def session_of(trainer: pytorch.Trainer) -> dj.Session:
    """Return the session of a trainer that has fitted."""
    assert trainer.session is not None
    return trainer.session


def moments(session: dj.Session) -> list[Any]:
    """Return the calls of the trial's callback."""
    return list(session.trial.moments.seen)


def period_lengths(session: dj.Session) -> list[int]:
    """Return the number of batches in each reporting period."""
    return [moment[1] for moment in moments(session) if isinstance(moment, tuple)]


def fitted(errors: list[float] | None = None, exp_conf: dict[str, Any] | None = None, **given: Any) -> Any:
    """Fit a new trial, its data in order, and return its session."""
    with pytorch.init(hparams={}, exp_conf=exp_conf) as context:
        trainer = pytorch.Trainer(Fit(context, shuffle=False, errors=None if errors is None else iter(errors)), context)
        trainer.fit(**given)
    return trainer.session


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names of a function's parameters, in their order, with their defaults."""
    return {name: one.default for name, one in inspect.signature(function).parameters.items() if name != "self"}
