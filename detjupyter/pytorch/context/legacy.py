"""Methods that Determined's context had before 0.13. Definitions from that time call them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import torch

from detjupyter.errors import TrialUsageError
from detjupyter.framework.context import TrialContext
from detjupyter.framework.single_process import SingleProcess
from detjupyter.pytorch.lr_scheduler import LRScheduler as WrappedScheduler
from detjupyter.pytorch.lr_scheduler import StepMode

Wrapped = TypeVar("Wrapped")


class LegacyEnvironment:
    """``context.env``: what Determined's own code kept there, and definitions of 2020 read."""

    def __init__(self, context: TrialContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"context.env has no {name!r}. It has: experiment_config, first_step(), hparams, trial_seed.")

    @property
    def experiment_config(self) -> dict[str, Any]:
        """The whole configuration."""
        return self._context.get_experiment_config()

    @property
    def hparams(self) -> dict[str, Any]:
        """All hyperparameters."""
        return self._context.get_hparams()

    @property
    def trial_seed(self) -> int:
        """The seed of the trial."""
        return self._context.get_trial_seed()

    def first_step(self) -> int:
        """Return 0: no step was trained in an earlier process."""
        return 0


class LegacyNames(ABC):
    """The methods of a context under their names of 2020; each calls today's method."""

    models: list[torch.nn.Module]
    optimizers: list[torch.optim.Optimizer]
    lr_schedulers: list[WrappedScheduler]
    distributed: SingleProcess

    @abstractmethod
    def wrap_model(self, model: torch.nn.Module) -> torch.nn.Module:
        """See the context."""

    @abstractmethod
    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """See the context."""

    @abstractmethod
    def wrap_lr_scheduler(self, lr_scheduler: Any, step_mode: StepMode) -> Any:
        """See the context."""

    @property
    def env(self) -> LegacyEnvironment:
        """The environment of the trial."""
        assert isinstance(self, TrialContext)
        return LegacyEnvironment(self)

    def Model(self, model: torch.nn.Module) -> torch.nn.Module:  # noqa: N802 -- its name
        """Wrap a model: the name of ``wrap_model`` shortly before 0.12.13."""
        return self.wrap_model(model)

    def Optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:  # noqa: N802
        """Wrap an optimizer: the name of ``wrap_optimizer`` shortly before 0.12.13."""
        return self.wrap_optimizer(optimizer)

    def LRScheduler(self, lr_scheduler: Any, step_mode: StepMode) -> Any:  # noqa: N802
        """Wrap a scheduler: the name of ``wrap_lr_scheduler`` shortly before 0.12.13."""
        return self.wrap_lr_scheduler(lr_scheduler, step_mode)

    def get_model(self) -> torch.nn.Module:
        """Return the only model."""
        return _only(self.models, "model")

    def get_optimizer(self) -> torch.optim.Optimizer:
        """Return the only optimizer."""
        return _only(self.optimizers, "optimizer")

    def get_lr_scheduler(self) -> WrappedScheduler | None:
        """Return the only scheduler, None if there is none."""
        return _only(self.lr_schedulers, "LR scheduler") if self.lr_schedulers else None

    def get_rank(self) -> int:
        """Return 0. Determined moved this method to ``context.distributed`` in 0.12.4."""
        return self.distributed.get_rank()

    def get_local_rank(self) -> int:
        """Return 0. Determined moved this method to ``context.distributed`` in 0.12.4."""
        return self.distributed.get_local_rank()

    def get_size(self) -> int:
        """Return 1. Determined moved this method to ``context.distributed`` in 0.12.4."""
        return self.distributed.get_size()


def _only(wrapped: Sequence[Wrapped], what: str) -> Wrapped:
    if len(wrapped) != 1:
        raise TrialUsageError(
            f"There are {len(wrapped)} {what}s, not one.", hint=f"Take them from `context.{what.lower().replace(' ', '_')}s`."
        )
    return wrapped[0]
