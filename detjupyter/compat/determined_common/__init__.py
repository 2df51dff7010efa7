"""The package ``determined_common`` as a model definition sees it."""

from __future__ import annotations

from typing import Any

from detjupyter.compat.determined_common import check
from detjupyter.compat.unavailable import Unavailable

__all__ = ["check"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Unavailable(f"determined.common.{name}")
