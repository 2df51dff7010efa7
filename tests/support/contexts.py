"""A context without a session."""

from __future__ import annotations

from typing import Any

import torch

from detjupyter.definition.config import Config
from detjupyter.pytorch import PyTorchTrialContext


def context(hparams: dict[str, Any] | None = None, **raw: Any) -> PyTorchTrialContext:
    """Return a context on the CPU, with the sections ``raw`` in its configuration."""
    return PyTorchTrialContext(Config(raw=raw, hyperparameters=hparams or {}, data=raw.get("data", {})), seed=7, device=torch.device("cpu"))
