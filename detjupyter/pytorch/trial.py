"""The base class of PyTorch trials."""

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
from detjupyter.pytorch.validation_reducer import Reducer


class PyTorchTrial(Trial):
    """The base class of PyTorch trials. A subclass defines the models, the data, and the training of a batch.

    ``__init__`` must wrap every model and every optimizer with the context. The methods below are called with keyword arguments, so
    overriding methods must keep the names of the parameters. A class that defines :meth:`build_model` and :meth:`optimizer` instead is
    trained as before Determined 0.12.13, see :mod:`detjupyter.pytorch.styles`.
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
        """Train on ``batch``, and return the loss or a dict of metrics.

        Args:
            batch: A batch of the training loader, on the device.
            epoch_idx: The index of the epoch, from 0.
            batch_idx: The index of the batch in the whole training, from 0.
        """

    def evaluate_batch(self, batch: Any) -> dict[str, Any]:
        """Return the metrics of one validation batch. Gradients are disabled, and the models are in evaluation mode.

        An overriding method can add a parameter ``batch_idx``, which receives the index of the batch in the validation, from 0.
        """
        raise NotImplementedError(f"{type(self).__name__} has no evaluate_batch().")

    def evaluate_full_dataset(self, data_loader: torch.utils.data.DataLoader[Any]) -> dict[str, Any]:
        """Return the metrics of the whole validation data, in place of :meth:`evaluate_batch`. The batches are not on the device yet."""
        raise NotImplementedError(f"{type(self).__name__} has no evaluate_full_dataset().")

    def evaluation_reducer(self) -> Reducer | dict[str, Reducer]:
        """Return how validation metrics are reduced over batches: one reducer for all metrics, or one for each."""
        return Reducer.AVG

    def build_callbacks(self) -> dict[str, PyTorchCallback]:
        """Return callbacks by name. Checkpoints store their states under these names."""
        return {}

    def get_batch_length(self, batch: Any) -> int:
        """Return the number of records in ``batch``."""
        return data_length(batch)

    # --- the interface before 0.12.13 ----------------------------------------------------------------------------------------------

    def build_model(self) -> torch.nn.Module:
        """Return the model, in the callback style."""
        raise NotImplementedError(f"{type(self).__name__} has no build_model().")

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Return the optimizer of ``model``, in the callback style."""
        raise NotImplementedError(f"{type(self).__name__} has no optimizer().")

    def create_lr_scheduler(self, optimizer: torch.optim.Optimizer) -> LRScheduler | None:
        """Return a scheduler of ``optimizer``, in the callback style; by default None, which means no scheduler."""
        del optimizer
        return None


def reset_parameters(model: torch.nn.Module) -> None:
    """Initialize the parameters of ``model`` again, in every module that has a method ``reset_parameters``."""
    for module in model.modules():
        initialize = getattr(module, "reset_parameters", None)
        if callable(initialize):
            initialize()
