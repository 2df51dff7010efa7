"""The class that users derive theirs from."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from detjupyter.definition.trial import Trial
from numpy_linear.context import LinearTrialContext

Array = npt.NDArray[np.float64]
Records = tuple[Array, Array]
"""Inputs (N, F) and targets (N,)."""


class LinearTrial(Trial):
    """A trial that fits the weights which it gives to ``context.wrap_weights``."""

    framework: ClassVar[str] = "numpy_linear"

    @abstractmethod
    def __init__(self, context: LinearTrialContext) -> None:
        """Make the weights (F,) and wrap them."""

    @abstractmethod
    def build_training_data(self) -> Records:
        """Return the records to train on."""

    @abstractmethod
    def build_validation_data(self) -> Records:
        """Return the records to validate on."""

    @abstractmethod
    def train_batch(self, batch: Records, epoch_idx: int, batch_idx: int) -> dict[str, float]:
        """Train on a batch of B records; return metrics."""

    @abstractmethod
    def evaluate_batch(self, batch: Records) -> dict[str, float]:
        """Return the metrics of a batch of validation records."""
