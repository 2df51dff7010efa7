"""The record by which detjupyter finds the framework; its entry point names it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import numpy as np

from detjupyter.definition.config import Config
from detjupyter.definition.trial import Trial
from detjupyter.framework.adapter import TrialAdapter, TrialOptions
from detjupyter.framework.framework import Framework
from numpy_linear.adapter import LinearAdapter
from numpy_linear.checkpoints import first_difference, load, read_state
from numpy_linear.context import LinearTrialContext
from numpy_linear.randomness import Stream, kept, seeded
from numpy_linear.trial import LinearTrial


class NumpyLinear(Framework):
    """Trials that derive from :class:`numpy_linear.LinearTrial`."""

    name = "numpy_linear"
    trial_type = "LinearTrial"
    packages = ("numpy_linear",)

    def build(self, options: TrialOptions) -> TrialAdapter:
        """Construct the user's trial and return its adapter."""
        return LinearAdapter(options)

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
        """Return a trial with the weights of the checkpoint, and its context."""
        del device, trust
        seed = config.settings.experiment_seed or 0
        context = LinearTrialContext(config, seed=seed)
        with Stream(seeded(seed)).active():
            trial = cast("type[LinearTrial]", trial_class)(context, **trial_kwargs)
        load(context, read_state(directory), str(directory))
        return trial, context

    def first_difference(self, directory: Path, other: Path) -> str | None:
        """Return the first entry that differs."""
        return first_difference(directory, other)

    def kept_random_states(self) -> AbstractContextManager[None]:
        """Keep the states of Python and numpy."""
        return kept()

    def numeric_settings(self) -> dict[str, str]:
        """Return the versions."""
        return {"numpy": np.__version__, "machine": platform.machine()}


FRAMEWORK = NumpyLinear()
