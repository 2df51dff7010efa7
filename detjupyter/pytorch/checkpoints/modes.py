"""The modes of a trial's modules, ``train`` or ``eval``, which no ``state_dict`` contains."""

from __future__ import annotations

from collections.abc import Sequence

import torch

ModulesInEval = list[list[str]]
"""The names of the modules in mode ``eval``, by model."""


class Modes:
    """The modes of the modules of one trial: a training can set some to ``eval``, for example a frozen normalization layer.

    Args:
        models: The wrapped models.
    """

    def __init__(self, models: Sequence[torch.nn.Module]) -> None:
        self._models = models
        self._has_begun = False

    def begin(self) -> None:
        """Set all modules to ``train`` when the training begins, but not in a restored one."""
        if not self._has_begun:
            self._has_begun = True
            for model in self._models:
                model.train()

    def state(self) -> ModulesInEval:
        """Return the modes for a checkpoint."""
        if not self._has_begun:
            return [[] for _ in self._models]
        return [[name for name, module in model.named_modules() if not module.training] for model in self._models]

    def restore(self, state: ModulesInEval) -> None:
        """Set the modes to those in a state."""
        self._has_begun = True
        for model, in_eval in zip(self._models, state, strict=True):
            names = set(in_eval)
            for name, module in model.named_modules():
                module.training = name not in names  # not train(): that would also set the modules inside
