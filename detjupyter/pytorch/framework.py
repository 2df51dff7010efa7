"""The framework PyTorch, as the engine knows it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from detjupyter.definition.config import Config
from detjupyter.definition.trial import Trial
from detjupyter.framework.adapter import TrialAdapter, TrialOptions
from detjupyter.framework.framework import Framework
from detjupyter.pytorch.building import build
from detjupyter.pytorch.loading import build_saved
from detjupyter.pytorch.numerics import numeric_settings
from detjupyter.pytorch.openmp import release_workers
from detjupyter.pytorch.randomness import kept_random_states
from detjupyter.pytorch.saved_state import first_difference


class PyTorch(Framework):
    """Trials that derive from :class:`detjupyter.pytorch.PyTorchTrial`."""

    name = "pytorch"
    trial_type = "PyTorchTrial"
    packages = ("torch",)
    hyperparameters = frozenset({"amp", "clip_grad_l2_norm", "clip_grad_val"})

    def build(self, options: TrialOptions) -> TrialAdapter:
        """Construct the user's trial and return its adapter."""
        return build(options)

    def load_saved(
        self,
        trial_class: type[Trial],
        config: Config,
        directory: Path,
        *,
        device: str | None,
        trust: bool,
        trial_kwargs: Mapping[str, Any],
    ) -> tuple[Any, Any]:
        """Return a trial with the weights of a checkpoint, and its context. Reads the checkpoints of Determined since 0.12, too."""
        return build_saved(trial_class, config, directory, device=device, trust=trust, trial_kwargs=trial_kwargs)

    def first_difference(self, directory: Path, other: Path) -> str | None:
        """Return the first difference between the states in two directories, None if they are equal."""
        return first_difference(directory, other)

    def kept_random_states(self) -> AbstractContextManager[None]:
        """Return a context manager that restores the random states of Python, numpy and torch, on the host and on every device in use."""
        return kept_random_states()

    def numeric_settings(self) -> dict[str, str]:
        """Return torch's version, and the settings that affect its results."""
        return numeric_settings()

    def release_worker_threads(self) -> None:
        """End the OpenMP workers of the calling thread."""
        release_workers()


FRAMEWORK = PyTorch()
