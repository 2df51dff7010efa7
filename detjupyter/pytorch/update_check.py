"""Warns if the first batches of a training change no parameter: a forgotten call trains happily, with a flat loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from detjupyter.framework.warning import warn
from detjupyter.protocol.events import Until

_MIN_BATCHES = 8
_SAMPLED = 64


class UpdateCheck:
    """Compares the parameters once with those at the beginning of a training; nothing waits for the device before.

    Args:
        models: The wrapped models.
    """

    def __init__(self, models: Sequence[torch.nn.Module]) -> None:
        self._models = models
        self._begun_at = 0
        self._due: int | None = None
        self._versions: dict[int, int] = {}
        self._samples: list[torch.Tensor] = []
        self.is_done = False

    def begin(self, batches_trained: int, batches_per_update: int) -> None:
        """Start at ``batches_trained``, unless a check is under way. ``batches_per_update`` is that of the aggregation."""
        if self._due is None or self.is_done:
            self._versions, self._samples = self._now(), self._sampled()
            self._begun_at, self._due = batches_trained, batches_trained + max(_MIN_BATCHES, 2 * batches_per_update)
            self.is_done = not self._versions

    def look(self, batches_trained: int) -> None:
        """Compare the parameters if enough batches were trained since :meth:`begin`, and warn if they are the same."""
        if self.is_done or self._due is None or batches_trained < self._due:
            return
        self.is_done = True
        before, self._samples = self._samples, []
        # torch counts the changes of a tensor, except those by way of `.data`, as in old optimizers: hence the values, too
        if self._now() == self._versions and all(map(torch.equal, before, self._sampled())):
            warn(f"No parameter changed in {batches_trained - self._begun_at} batches. {self._cause()}", Until.TRAINING)

    def _now(self) -> dict[int, int]:
        try:
            return {id(parameter): parameter._version for parameter in self._parameters()}
        except RuntimeError:  # an inference tensor has no version
            return {}

    def _sampled(self) -> list[torch.Tensor]:
        """Return a few values of each parameter, on its device: copies of all would take the memory of a second model."""
        return [parameter.detach().reshape(-1)[:_SAMPLED].clone() for parameter in self._parameters()]

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for model in self._models for parameter in model.parameters() if parameter.requires_grad]

    def _cause(self) -> str:
        if any(parameter.grad is not None for parameter in self._parameters()):
            return "They have gradients: does train_batch() call context.step_optimizer() for each optimizer?"
        return "They have no gradients: does train_batch() call context.backward(loss), with a loss that depends on the wrapped models?"
