"""Gradients between the backward pass and the update: accumulation over batches, averaging, zeroing."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Accumulation:
    """The accumulation of gradients for one optimizer.

    Attributes:
        frequency: The number of batches whose gradients one update accumulates.
        average: Whether the accumulated gradients are divided by that number.
    """

    frequency: int
    average: bool

    def is_complete(self, batch_idx: int) -> bool:
        """Return whether the update follows batch ``batch_idx``, counted from 0 over the whole training."""
        return (batch_idx + 1) % self.frequency == 0

    def finish(self, optimizer: torch.optim.Optimizer) -> None:
        """Average the accumulated gradients, if the optimizer is configured to."""
        if self.average:
            for parameter in parameters_of(optimizer):
                if parameter.grad is not None:
                    parameter.grad.div_(self.frequency)


def parameters_of(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    """Return the parameters of all groups of ``optimizer``."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def zero_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Set the gradients of ``optimizer`` to None, like ``optimizer.zero_grad()``, but 5 µs faster per batch: that one records a profile."""
    if getattr(optimizer.zero_grad, "__func__", None) is not torch.optim.Optimizer.zero_grad:
        optimizer.zero_grad()  # a subclass overrides it
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
