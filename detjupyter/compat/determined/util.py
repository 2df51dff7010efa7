"""``determined.util`` as a model definition sees it."""

from __future__ import annotations

from typing import Any

from detjupyter.compat.unavailable import Unavailable


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Unavailable(f"determined.util.{name}")
