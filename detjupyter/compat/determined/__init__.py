"""The package ``determined`` as a model definition sees it."""

from __future__ import annotations

import importlib
from typing import Any

from detjupyter.definition.trial import InvalidHP, Trial

LegacyTrial = Trial
LOG_FORMAT = "%(levelname)s: [%(process)s] %(name)s: %(message)s"

# Where the names come from: nothing of a framework is imported before it is used.
_HOMES = {
    "Categorical": "hyperparameters",
    "Constant": "hyperparameters",
    "Double": "hyperparameters",
    "ExperimentConfig": "experiment_config",
    "Integer": "hyperparameters",
    "Log": "hyperparameters",
    "NativeContext": "pytorch",
    "TrialContext": "pytorch",
    "get_cluster_info": "cluster",
    "import_from_path": "importing",
}
_MODULES = (
    *("common", "core", "errors", "estimator", "experimental", "horovod", "keras", "pytorch", "tensorboard", "transformers", "util"),
)

__all__ = ["LOG_FORMAT", "InvalidHP", "LegacyTrial", "Trial"]


def __getattr__(name: str) -> Any:
    """Import what is named when it is first used: ``import determined as det`` and then ``det.pytorch``, ``det.TrialContext``."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    there = ", ".join(sorted((*_MODULES, *_HOMES, *__all__)))
    raise AttributeError(f"detjupyter does not offer determined.{name}; it offers {there}")
