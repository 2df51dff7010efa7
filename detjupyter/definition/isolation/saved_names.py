"""The names of a definition's classes and functions in saved state: relative to the definition, so that every load of it can read them.

A pickle contains a class by the name of its module, and the private name of a load means nothing in another process, after a rename, or in
a second load, whose classes are other objects. So saved state contains a call of Python's ``pkgutil.resolve_name("model_def:Mode")``
instead. Here it is answered with the class of the load that reads the state. On a cluster, Python itself finds the module.
"""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import sys
from types import FunctionType, SimpleNamespace
from typing import Any

from detjupyter.definition.isolation.finding import scope_of
from detjupyter.definition.isolation.names import COMPAT, DETERMINED, PREFIX

_RESOLVE = "pkgutil", "resolve_name"


def saved_name(value: object) -> str | None:
    """Return the name of a class or function of a definition relative to the definition; None for all other objects.

    It has the form ``model_def:Mode``, without a module for the root of the definition.
    """
    if not isinstance(value, (type, FunctionType)):
        return None
    package = scope_of(value)
    if package is None or "<" in value.__qualname__:  # a local class or function has no name by which it can be found
        return None
    return f"{value.__module__[len(package) + 1 :]}:{value.__qualname__}"


def in_load_of(owner: object, name: str) -> Any:
    """Return the class or function with a saved name, in the load that ``owner`` is from.

    Raises:
        ImportError: The definition has no such module; or ``owner`` is from no definition, and Python has none either.
        AttributeError: The module has no such class or function.
    """
    return _in_package(scope_of(owner), name)


def imported_class(owner: object, name: str) -> Any:
    """Return the object with a saved name like :func:`in_load_of`, but import nothing: a checkpoint must not choose what code runs.

    ``owner`` is None for a name of another package. The result is None if there is no such object, or its module is not imported.
    """
    package = scope_of(owner) if owner is not None else None
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module if package is None else f"{package}.{module}".rstrip("."))
    for part in path.split("."):
        found = None if found is None else vars(found).get(part)
    return found


def _in_package(package: str | None, name: str) -> Any:
    if package is None:
        return pkgutil.resolve_name(name)
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(f"{package}.{module}".rstrip("."))
    for part in path.split("."):
        found = getattr(found, part)
    return found


def moved_to_load_of(owner: object, value: Any) -> Any:
    """Return the class or function of the load that ``owner`` is from, in place of that of an earlier load; other values unchanged."""
    name = saved_name(value)
    if name is None:
        return value
    try:
        return in_load_of(owner, name)
    except (ImportError, AttributeError):  # the code has it no more
        return value


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Write a class or function of a definition by its saved name."""
        name = saved_name(value)
        return NotImplemented if name is None else (pkgutil.resolve_name, (name,))


def pickle_for_saving() -> Any:
    """Return a replacement for the module ``pickle`` that writes saved names."""
    return SimpleNamespace(**{**vars(pickle), "Pickler": _Pickler})


def pickle_for_reading(owner: object) -> Any:
    """Return a replacement for the module ``pickle`` that finds names in the load that ``owner`` is from.

    It finds saved names, names of an earlier load (in checkpoints of earlier versions), and names without a load (of a cluster).
    """
    package = scope_of(owner)  # classes are in reference cycles, so none below refers to `owner`: it would be alive until a collection

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            if (module, name) == _RESOLVE:
                return lambda saved: _in_package(package, saved)
            top, _, _ = module.partition(".")
            try:
                if top in DETERMINED:
                    return super().find_class(f"{COMPAT}.{module}", name)
                if module.startswith(f"{PREFIX}."):
                    relative = ".".join(module.split(".")[3:])
                    return _in_package(package, f"{relative}:{name}")
                if package is not None and top not in sys.stdlib_module_names:
                    return _in_package(package, f"{module}:{name}")
            except (ImportError, AttributeError):  # the definition has no such module: perhaps an installed package has
                pass
            return super().find_class(module, name)

    def load(file: Any, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    return SimpleNamespace(**{**vars(pickle), "Unpickler": Unpickler, "load": load})
