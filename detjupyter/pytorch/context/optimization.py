"""Turns gradients into updates: accumulates them over batches, unscales and clips them, steps the optimizer, zeroes the gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from detjupyter.errors import ArgumentError, TrialUsageError
from detjupyter.pytorch.context.precision import Precision
from detjupyter.pytorch.gradients import Accumulation, parameters_of, zero_gradients

ClipGradients = Callable[[list[torch.nn.Parameter]], Any]


class Optimization:
    """The wrapped optimizers of one trial, each with the number of batches over which it accumulates gradients.

    Attributes:
        frequency: The largest of these numbers.
        plain: The ids of the optimizers that are stepped in every batch.
    """

    def __init__(self, precision: Precision) -> None:
        self.frequency = 1
        self.plain: set[int] = set()
        self._precision = precision
        self._accumulation: dict[int, Accumulation] = {}

    def add(self, optimizer: torch.optim.Optimizer, *, aggregation_frequency: Any, passes_per_step: Any, average: bool) -> int:
        """Register an optimizer, and return the number of batches over which it accumulates gradients.

        Raises:
            ArgumentError: ``aggregation_frequency`` or ``passes_per_step`` is not a positive integer.
        """
        for name, value in (("backward_passes_per_step", passes_per_step), ("aggregation_frequency", aggregation_frequency)):
            if type(value) is not int or value < 1:
                raise ArgumentError(f"{name} must be a positive integer, got {value!r}.")
        frequency: int = aggregation_frequency * passes_per_step
        self._accumulation[id(optimizer)] = Accumulation(frequency, average)
        if frequency == 1:
            self.plain.add(id(optimizer))
        return frequency

    def has(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return whether the optimizer is wrapped."""
        return id(optimizer) in self._accumulation

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        batch_idx: int | None,
        clip_grads: ClipGradients | None,
        *,
        auto_zero_grads: bool,
        scaler: Any,
    ) -> None:
        """Update the parameters, unless gradients are still accumulated; see ``context.step_optimizer``.

        ``batch_idx`` is None if the user calls ``train_batch`` by hand; every batch makes an update then.
        """
        accumulation = self._accumulation.get(id(optimizer))
        if accumulation is None:
            raise TrialUsageError(
                "step_optimizer() got an optimizer that was not wrapped.", hint="Wrap it with context.wrap_optimizer() in __init__."
            )
        if accumulation.frequency > 1:
            if not auto_zero_grads:
                raise TrialUsageError(
                    "auto_zero_grads=False cannot be combined with aggregation_frequency > 1.", hint="Leave one of the two out."
                )
            if batch_idx is not None:
                if not accumulation.is_complete(batch_idx):
                    return
                accumulation.finish(optimizer)
        precision = self._precision
        if precision.is_automatic and scaler is None:  # with a scaler of its own, the trial does this itself
            scaler = precision.scaler
            if clip_grads is not None and scaler is not None:
                scaler.unscale_(optimizer)  # the limits of clipping are meant for unscaled gradients
        if clip_grads is not None:
            clip_grads(parameters_of(optimizer))
        precision.step(optimizer, scaler)
        if auto_zero_grads:
            zero_gradients(optimizer)
