"""Warns once if the first batches of a training change no parameter: a forgotten call trains happily, with a flat loss."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

logger = logging.getLogger("detjupyter")

_MIN_BATCHES = 8


class UpdateCheck:
    """Looks at the parameters a few times at the beginning of a training, without waiting for the device in between.

    Args:
        models: The wrapped models.
    """

    def __init__(self, models: Sequence[torch.nn.Module]) -> None:
        self._models = models
        self._interval = _MIN_BATCHES
        self._begun_at = 0
        self._due: int | None = None
        self._versions: dict[int, int] = {}
        self._sums: torch.Tensor | None = None
        self.is_done = False

    def begin(self, batches_trained: int, batches_per_update: int) -> None:
        """Start at ``batches_trained``; does nothing after the first time. ``batches_per_update`` is that of the aggregation."""
        if self._due is None:
            self._interval = max(_MIN_BATCHES, 2 * batches_per_update)
            self._versions = self._now()
            self._begun_at, self._due = batches_trained, batches_trained + self._interval
            self.is_done = not self._versions

    def look(self, batches_trained: int) -> None:
        """Compare the parameters if enough batches were trained since :meth:`begin`, and end the check or warn."""
        if self.is_done or self._due is None or batches_trained < self._due:
            return
        if self._now() != self._versions:
            self.is_done = True
        elif self._sums is None:
            # torch counts the changes of a tensor, except those by way of `.data`, as in old optimizers: now the values themselves
            self._sums = self._summed()
            self._due = batches_trained + self._interval
        else:
            self.is_done = True
            if torch.equal(self._sums, self._summed()):
                logger.warning("No parameter changed in %d batches. %s", batches_trained - self._begun_at, self._cause())

    def _now(self) -> dict[int, int]:
        try:
            return {id(parameter): parameter._version for parameter in self._parameters()}
        except RuntimeError:  # an inference tensor has no version
            return {}

    def _summed(self) -> torch.Tensor:
        return torch.stack([parameter.detach().cpu().double().sum() for parameter in self._parameters()])

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for model in self._models for parameter in model.parameters() if parameter.requires_grad]

    def _cause(self) -> str:
        if any(parameter.grad is not None for parameter in self._parameters()):
            return "They have gradients: does train_batch() call context.step_optimizer() for each optimizer?"
        return "They have no gradients: does train_batch() call context.backward(loss), with a loss that depends on the wrapped models?"
