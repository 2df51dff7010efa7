"""``determined.experimental``: nothing of it is offered here but ``core_v2``; its names can be imported all the same."""

from __future__ import annotations

import importlib
from typing import Any

from detjupyter.compat.unavailable import Unavailable

_MODULES = ("client", "estimator", "keras")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name.startswith("__"):
        raise AttributeError(name)
    return Unavailable(f"determined.experimental.{name}")
