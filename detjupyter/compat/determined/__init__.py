"""The package ``determined`` as a model definition sees it."""

from __future__ import annotations

import importlib
from types import ModuleType

from detjupyter.definition.trial import Trial

LegacyTrial = Trial

__all__ = ["LegacyTrial", "Trial"]

_MODULES = ("common", "errors", "pytorch")


def __getattr__(name: str) -> ModuleType:
    """Import a module of the package when it is first used: ``import determined as det`` and then ``det.pytorch``."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"detjupyter does not offer determined.{name}; it offers {', '.join((*_MODULES, *__all__))}")
