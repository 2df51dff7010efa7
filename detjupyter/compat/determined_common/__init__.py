"""The package ``determined_common`` as a model definition sees it."""

from __future__ import annotations

import importlib
from typing import Any

from detjupyter.compat.determined_common import check
from detjupyter.compat.unavailable import Unavailable

__all__ = ["check"]

_MODULES = ("api", "util")
_NAMES = ("constants", "context", "experimental", "set_logger", "storage", "types", "yaml")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return Unavailable(f"determined.common.{name}")
    raise AttributeError(f"detjupyter does not offer determined.common.{name}; it offers check")
