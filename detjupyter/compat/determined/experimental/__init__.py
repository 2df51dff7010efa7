"""``determined.experimental``: what tries a trial out, and ``core_v2``; the other names can be imported but not used."""

from __future__ import annotations

import importlib
from typing import Any

from detjupyter.compat.unavailable import Unavailable

_MODULES = ("client", "core_v2", "estimator", "keras")
# The functions of `local` that answer, by Determined's names.
_FUNCTIONS = {"create_trial_instance": "create_trial_instance", "test_one_batch": "train_one_batch"}

_NAMES = (
    *("Checkpoint", "CheckpointOrderBy", "CheckpointReference", "Determined", "DeterminedClient", "Experiment", "ExperimentReference"),
    *("ExperimentState", "Mode", "Model", "ModelVersion", "Project", "Trial", "TrialReference", "Workspace", "create", "init_native"),
    *("test_keras_trial", "unmanaged"),
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"{__name__}.local"), _FUNCTIONS[name])
    if name in _NAMES:
        return Unavailable(f"determined.experimental.{name}")
    there = ", ".join(sorted((*_MODULES, *_FUNCTIONS)))
    raise AttributeError(f"detjupyter does not offer determined.experimental.{name}; it offers {there}")
