"""Shims for modules of Python that import by name, so that they find the modules of a definition.

Without an import statement, ``importlib.import_module`` and ``pickle`` (for the class of an object) would search the kernel's modules. With
these shims, a vocabulary that a script or a cluster pickled as ``data.Vocabulary`` is read as the class of *this* definition's ``data``.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Protocol

from detjupyter.definition.isolation import finding


class Names(Protocol):
    """Translates a module name that the definition uses into the private name of the module."""

    def private_name(self, name: str) -> str:
        """Return the name to import."""


class ImportlibShim(ModuleType):
    """The module ``importlib`` for definitions: ``import_module`` also finds the definition's own modules."""

    def __init__(self, names: Names) -> None:
        super().__init__("importlib", importlib.__doc__)
        self._names = names
        self.util = ImportlibUtilShim(names)

    def __getattr__(self, name: str) -> Any:  # Any: any attribute of importlib
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module as :func:`importlib.import_module` does, but search the definition first."""
        if name.startswith("."):
            return importlib.import_module(name, package and self._names.private_name(package))
        return importlib.import_module(self._names.private_name(name))

    def reload(self, module: ModuleType) -> ModuleType:
        """Run a module again as :func:`importlib.reload` does. Outside of the definition, its modules cannot be reloaded alone."""
        with finding.reloads_by_definition():
            return importlib.reload(module)


class ImportlibUtilShim(ModuleType):
    """The module ``importlib.util`` for definitions: ``find_spec`` also finds the definition's own modules, and ``determined``."""

    def __init__(self, names: Names) -> None:
        super().__init__("importlib.util", importlib.util.__doc__)
        self._names = names

    def __getattr__(self, name: str) -> Any:  # Any: any attribute of importlib.util
        return getattr(importlib.util, name)

    def find_spec(self, name: str, package: str | None = None) -> ModuleSpec | None:
        """Find a module as :func:`importlib.util.find_spec` does, but search the definition first."""
        if name.startswith("."):
            return importlib.util.find_spec(name, package and self._names.private_name(package))
        return importlib.util.find_spec(self._names.private_name(name))


class PickleShim(ModuleType):
    """The module ``pickle`` for definitions: classes are searched in the definition first."""

    def __init__(self, names: Names) -> None:
        super().__init__("pickle", pickle.__doc__)
        self.Unpickler = _unpickler(names)

    def __getattr__(self, name: str) -> Any:  # Any: any attribute of pickle
        return getattr(pickle, name)

    def load(self, file: Any, **options: Any) -> Any:
        """Read one object, as :func:`pickle.load` does."""
        return self.Unpickler(file, **options).load()

    def loads(self, data: bytes, /, **options: Any) -> Any:
        """Read one object, as :func:`pickle.loads` does."""
        return self.load(io.BytesIO(data), **options)


def _unpickler(names: Names) -> type[pickle.Unpickler]:
    class Unpickler(pickle.Unpickler):
        """Reads pickles whose classes may be from the definition."""

        def find_class(self, module_name: str, global_name: str, /) -> Any:
            private: Callable[[str], str] = names.private_name
            return super().find_class(private(module_name), global_name)

    return Unpickler
