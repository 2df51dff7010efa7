"""The object ``context.experimental``: switches that few trials need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from detjupyter.pytorch.context.precision import Precision
from detjupyter.pytorch.custom_reducers import CustomReducers


class ExperimentalSwitches:
    """The switches of one trial, and the methods for custom reducers that Determined had here before 0.15.2.

    Args:
        precision: The trial's precision, which the context shares.
        models: The wrapped models; the context adds to this list.
        reducers: The trial's custom reducers.

    Attributes:
        reproducibility_checks: Whether the trial must return a ``detjupyter.pytorch.DataLoader``.
        auto_to_device: Whether batches are moved to the device.
    """

    def __init__(self, precision: Precision, models: Sequence[torch.nn.Module], reducers: CustomReducers) -> None:
        self._precision = precision
        self._models = models
        self._reducers = reducers
        self.reproducibility_checks = True
        self.auto_to_device = True

    @property
    def auto_amp(self) -> bool:
        """Whether the trial is trained in automatic mixed precision."""
        return self._precision.is_automatic

    def disable_dataset_reproducibility_checks(self) -> None:
        """Allow loaders other than ``detjupyter.pytorch.DataLoader``.

        To continue in the middle of an epoch, torch's loader of an indexed dataset skips the earlier batches without loading them, like
        ``detjupyter.pytorch.DataLoader``. With any other iterable, the earlier batches of the epoch are loaded again and dropped.
        """
        self.reproducibility_checks = False

    def disable_auto_to_device(self) -> None:
        """Pass batches to ``train_batch`` and ``evaluate_batch`` without moving them to the device."""
        self.auto_to_device = False

    def use_amp(self) -> None:
        """Train in automatic mixed precision: wrapped models run their forward pass in half precision.

        Call it before ``wrap_model``. On a GPU the forward pass is in float16 and losses are scaled; on the host it is in bfloat16, without
        scaling.

        Raises:
            TrialUsageError: A model or a scaler is wrapped already.
        """
        self._precision.use_automatic(self._models)

    def wrap_reducer(self, reducer: Any, name: str | None = None, for_training: bool = True, for_validation: bool = True) -> Any:
        """See ``context.wrap_reducer``."""
        return self._reducers.wrap(reducer, name, for_training, for_validation)

    def reset_reducers(self) -> None:
        """Reset all custom reducers."""
        for training in (True, False):
            self._reducers.reset(training=training)

    def reduce_metrics(self, for_training: bool) -> dict[str, Any]:
        """Return the metrics of the custom reducers."""
        return self._reducers.reduce(training=for_training)
