"""``determined.pytorch`` as a model definition sees it: the same names."""

from __future__ import annotations

import importlib
from typing import Any

from detjupyter.pytorch import *  # noqa: F403
from detjupyter.pytorch import PyTorchTrialContext
from detjupyter.pytorch import __all__ as __all__
from detjupyter.pytorch.samplers import *  # noqa: F403 -- in 2020 this was their module

TrialContext = PyTorchTrialContext
NativeContext = PyTorchTrialContext

# Those that few definitions use are imported when they do.
_HOMES = {
    "CheckpointLoadContext": "detjupyter.pytorch.loading",
    "load_trial_from_checkpoint_path": "detjupyter.pytorch.loading",
}


def __getattr__(name: str) -> Any:
    if name in ("deepspeed", "lightning"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"detjupyter does not offer determined.pytorch.{name}; it offers {', '.join(sorted((*__all__, *_HOMES)))}")
