"""Import shims: replacements for installed modules that have changed since a definition was written.

A shim is a function that gets the real module and returns a replacement. Only code of definitions sees the replacement: the kernel's own
cells, and other installed packages, import the real module. This module has a shim for ``numpy``; a framework provides its own, either as

* the function ``shim`` of ``detjupyter/<framework>/shims/<module>.py``, for the frameworks in this package (a dot in the module's name is
  written ``__``); or
* an entry point of the group ``detjupyter.import_shims``, with the name of the module::

      [project.entry-points."detjupyter.import_shims"]
      keras = "some_package.shims:keras_with_old_names"

A shim is imported when a definition first imports the module that it replaces. So the framework need not be known before the definition is
imported, and no framework is imported for the shims of another one.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

Shim = Callable[[ModuleType], ModuleType]

ENTRY_POINT_GROUP = "detjupyter.import_shims"

_PACKAGE = Path(__file__).parents[2]


class ImportShims:
    """The shims for one load of a definition; each is imported when :meth:`apply` first needs it.

    Thread: any.
    """

    def applies_to(self, name: str) -> bool:
        """Return whether there is a shim for the module ``name``."""
        return name in self._found

    def apply(self, name: str, module: ModuleType) -> ModuleType:
        """Return the replacement for ``module``, which has the given ``name``: each shim gets the result of the previous one.

        Raises:
            ImportError: A package registers a shim that it does not provide.
        """
        for load in self._found.get(name, ()):
            module = load()(module)
        return module

    @functools.cached_property
    def _found(self) -> Mapping[str, list[Callable[[], Shim]]]:
        """Functions that import the shims of each module; found by a scan of the installed packages at the first import of a definition."""
        found: dict[str, list[Callable[[], Shim]]] = {"numpy": [lambda: numpy_of_definition]}
        for name, module in shim_modules(_PACKAGE):
            found.setdefault(name, []).append(functools.partial(_shim_in, f"{__package__.partition('.')[0]}.{module}"))
        for point in entry_points(group=ENTRY_POINT_GROUP):
            found.setdefault(point.name, []).append(point.load)
        return found


def shim_modules(package: Path) -> Iterable[tuple[str, str]]:
    """Return for each shim in the folders of ``package`` the module that it replaces, and its own module name below the package.

    Examples:
        >>> list(shim_modules(Path("no such directory")))
        []
    """
    for file in sorted(package.glob("*/shims/*.py")):
        if file.name != "__init__.py":
            yield file.stem.replace("__", "."), f"{file.parent.parent.name}.shims.{file.stem}"


def numpy_of_definition(numpy: ModuleType) -> ModuleType:
    """Return the module ``numpy`` for definitions: with the names of Python's types that numpy had before 1.24.

    Definitions of 2020 use ``np.int`` and similar names. Names that exist today are unchanged.
    """
    same = ModuleType("numpy", numpy.__doc__)
    types = {"bool": bool, "complex": complex, "float": float, "int": int, "object": object, "str": str}
    vars(same).update({**types, **vars(numpy)})
    return same


def _shim_in(module: str) -> Shim:
    return cast("Shim", importlib.import_module(module).shim)
