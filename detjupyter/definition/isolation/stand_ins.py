"""Modules as a definition sees them: Python's own, but for the one thing in which they must know the definition's modules.

What imports by name on behalf of a definition without an import statement would look in the kernel's modules: ``importlib`` when asked for
a module, and ``pickle`` when it meets a class. A vocabulary that was pickled as ``data.Vocabulary`` by a script, or on a cluster, is then
read back as the class of *this* definition's ``data``.
"""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol


class Names(Protocol):
    """What translates a name that the definition uses into the one under which the module stands."""

    def private_name(self, name: str) -> str:
        """Return the name to import."""


class ImportlibOfDefinition(ModuleType):
    """The module ``importlib`` as a definition sees it: the real one, but ``import_module`` knows the definition's own modules."""

    def __init__(self, names: Names) -> None:
        super().__init__("importlib", importlib.__doc__)
        self._names = names

    def __getattr__(self, name: str) -> Any:  # whatever importlib holds
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module as :func:`importlib.import_module` does, the definition's own first."""
        if name.startswith("."):
            return importlib.import_module(name, package and self._names.private_name(package))
        return importlib.import_module(self._names.private_name(name))


class PickleOfDefinition(ModuleType):
    """The module ``pickle`` as a definition sees it: the real one, but classes are looked for in the definition first."""

    def __init__(self, names: Names) -> None:
        super().__init__("pickle", pickle.__doc__)
        self.Unpickler = _unpickler(names)

    def __getattr__(self, name: str) -> Any:  # whatever pickle holds
        return getattr(pickle, name)

    def load(self, file: Any, **options: Any) -> Any:
        """Read one object, as :func:`pickle.load` does."""
        return self.Unpickler(file, **options).load()

    def loads(self, data: bytes, /, **options: Any) -> Any:
        """Read one object, as :func:`pickle.loads` does."""
        return self.load(io.BytesIO(data), **options)


def numpy_of_definition(numpy: ModuleType) -> ModuleType:
    """Return the module ``numpy`` as a definition sees it: with the names of Python's types that it had before 1.24.

    ``np.int`` and the like stand in definitions of 2020. What is there today stays what it is.
    """
    same = ModuleType("numpy", numpy.__doc__)
    types = {"bool": bool, "complex": complex, "float": float, "int": int, "object": object, "str": str}
    vars(same).update({**types, **vars(numpy)})
    return same


def _unpickler(names: Names) -> type[pickle.Unpickler]:
    class Unpickler(pickle.Unpickler):
        """Reads pickles whose classes may be the definition's own."""

        def find_class(self, module_name: str, global_name: str, /) -> Any:
            private: Callable[[str], str] = names.private_name
            return super().find_class(private(module_name), global_name)

    return Unpickler
