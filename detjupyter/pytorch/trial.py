"""The class that users derive theirs from."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch

from detjupyter.definition.trial import Trial
from detjupyter.pytorch.callbacks import PyTorchCallback
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data.batches import data_length
from detjupyter.pytorch.data.data_loader import DataLoader
from detjupyter.pytorch.lr_scheduler import LRScheduler
from detjupyter.pytorch.reducer import Reducer


class PyTorchTrial(Trial):
    """A trial in PyTorch: what to train, on which data, and how one batch goes.

    Wrap every model and every optimizer with the context in ``__init__``; the methods below are called by keyword, so their
    parameters keep these names. A class that has :meth:`build_model` and :meth:`optimizer` instead is trained as before Determined
    0.12.13, see :mod:`detjupyter.pytorch.styles`.
    """

    framework: ClassVar[str] = "pytorch"

    @abstractmethod
    def __init__(self, context: PyTorchTrialContext) -> None:
        """Build models and optimizers and wrap them with ``context``."""

    @abstractmethod
    def build_training_data_loader(self) -> DataLoader:
        """Return the training data."""

    @abstractmethod
    def build_validation_data_loader(self) -> DataLoader:
        """Return the validation data."""

    @abstractmethod
    def train_batch(self, batch: Any, epoch_idx: int, batch_idx: int) -> torch.Tensor | dict[str, Any]:
        """Train on ``batch``, which is on the device; return the loss, or a dict of metrics.

        ``batch_idx`` counts from 0 over the whole training, ``epoch_idx`` passes over the data.
        """

    def evaluate_batch(self, batch: Any) -> dict[str, Any]:
        """Return the metrics of one validation batch; gradients are off and models in evaluation mode.

        A parameter ``batch_idx`` is given the number of the batch, from 0.
        """
        raise NotImplementedError(f"{type(self).__name__} has no evaluate_batch().")

    def evaluate_full_dataset(self, data_loader: torch.utils.data.DataLoader[Any]) -> dict[str, Any]:
        """Return the metrics of the whole validation data, whose batches are not on the device; instead of :meth:`evaluate_batch`."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluate_full_dataset().")

    def evaluation_reducer(self) -> Reducer | dict[str, Reducer]:
        """Return how validation metrics are reduced over batches: one way for all, or one for each metric."""
        return Reducer.AVG

    def build_callbacks(self) -> dict[str, PyTorchCallback]:
        """Return callbacks by name; a checkpoint keeps their states by these names."""
        return {}

    def get_batch_length(self, batch: Any) -> int:
        """Return how many records ``batch`` holds."""
        return data_length(batch)

    # --- the interface before 0.12.13 ----------------------------------------------------------------------------------------------

    def build_model(self) -> torch.nn.Module:
        """Return the model, in the callback style."""
        raise NotImplementedError(f"{type(self).__name__} has no build_model().")

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer of ``model``, in the callback style."""
        raise NotImplementedError(f"{type(self).__name__} has no optimizer().")

    def create_lr_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler | None:
        """Return a scheduler of ``optimizer``, in the callback style; None for none."""
        del optimizer
        return None


def reset_parameters(model: torch.nn.Module) -> None:
    """Initialise every module of ``model`` that knows how anew."""
    for module in model.modules():
        initialise = getattr(module, "reset_parameters", None)
        if callable(initialise):
            initialise()
