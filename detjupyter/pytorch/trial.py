"""The class that users derive theirs from."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch

from detjupyter.definition.trial import Trial
from detjupyter.pytorch.batches import data_length
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data_loader import DataLoader
from detjupyter.pytorch.reducer import Reducer


class PyTorchTrial(Trial):
    """A trial in PyTorch: what to train, on which data, and how one batch goes.

    Wrap every model and every optimizer with the context in ``__init__``; the methods below are called by keyword, so their
    parameters keep these names.
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
        """Return the metrics of one validation batch; gradients are off and models in evaluation mode."""
        raise NotImplementedError(f"{type(self).__name__} has neither evaluate_batch nor evaluate_full_dataset.")

    def evaluate_full_dataset(self, data_loader: torch.utils.data.DataLoader[Any]) -> dict[str, Any]:
        """Return the metrics of the whole validation data; instead of :meth:`evaluate_batch`."""
        raise NotImplementedError(f"{type(self).__name__} has neither evaluate_batch nor evaluate_full_dataset.")

    def evaluation_reducer(self) -> Reducer | dict[str, Reducer]:
        """Return how validation metrics are reduced over batches: one way for all, or one for each metric."""
        return Reducer.AVG

    def get_batch_length(self, batch: Any) -> int:
        """Return how many records ``batch`` holds."""
        return data_length(batch)
