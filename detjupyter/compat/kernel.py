"""``import determined`` in the kernel's own cells: answered here if nothing else is installed under that name.

In a model definition these names always lead here. A cell, or a script that ``%run`` runs, is the user's own: there an installed
distribution ``determined`` stays what it is, as a whole, and only where there is none the names lead here. Then they are the very
modules that definitions see, so that classes are the same on both sides.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_COMPAT = __name__.rpartition(".")[0]
_PREFIX = "determined"
"""What the names begin with. The names themselves are in a room that takes long to import, and most kernels ask for none of them."""


def offer() -> None:
    """Answer imports of ``determined`` and ``determined_common`` from now on. May be called twice."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)  # first: the path of our packages would lead Python's own finder to a second copy


def withdraw() -> None:
    """Answer no more, and forget the names; modules in use stay what they are."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name in [name for name in sys.modules if name.startswith(_PREFIX) and _is_ours(name)]:
        del sys.modules[name]


class _Finder:
    """Finds a module by its name in Determined. It derives from nothing: ``importlib.abc`` would be imported for its base class alone."""

    def find_spec(self, fullname: str, _: Sequence[str] | None, __: ModuleType | None = None) -> ModuleSpec | None:
        """Return where ``fullname`` is answered, None if that is not here."""
        top, _, rest = fullname.partition(".")
        if not top.startswith(_PREFIX):
            return None
        from detjupyter.definition.isolation.names import DETERMINED

        if top not in DETERMINED:
            return None
        if rest:
            is_here = _is_ours(top) and find_spec(f"{_COMPAT}.{fullname}") is not None
            return ModuleSpec(fullname, _alias, is_package=True) if is_here else None
        return None if _is_installed(top) else ModuleSpec(fullname, _alias, is_package=True)


class _Alias:
    """Puts the module of ours in the place of the one that Python made for the name."""

    def create_module(self, _: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Replace ``module``."""
        sys.modules[module.__name__] = importlib.import_module(f"{_COMPAT}.{module.__name__}")


def _is_ours(name: str) -> bool:
    return getattr(sys.modules.get(name), "__name__", "").startswith("detjupyter.")


def _is_installed(top: str) -> bool:
    """Return whether another finder knows the name, as the kernel's path is now."""
    for finder in sys.meta_path:
        if finder is not _finder and hasattr(finder, "find_spec"):
            spec = finder.find_spec(top, None)
            if spec is not None and spec.loader is not None:  # a plain directory of that name is not an installation
                return True
    return False


_finder = _Finder()
_alias: Any = _Alias()  # Any: a loader, though not one of importlib.abc's
