"""Names of Determined that detjupyter does not offer: all of them can be imported, and say so when they are used.

A name that no release of Determined has is missing, as in any module: ``hasattr`` is False, and its import raises an ImportError.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from detjupyter.definition.released_names import can_be_module, is_module, is_released, similar_name
from detjupyter.definition.unsupported import instead_of
from detjupyter.errors import UnsupportedError

_COMPAT = __name__.rpartition(".")[0]


class Unavailable:
    """Replace a class, function or module: it can be named, also in annotations, and every use raises ``UnsupportedError``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}, which detjupyter does not offer>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return unavailable(f"{self._name}.{name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unavailable) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __or__(self, _: Any) -> Unavailable:
        """Stay the same in an annotation: ``callback: DetCallback | None = None``."""
        return self

    __ror__ = __or__

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise refusal(self._name)

    # Python looks these up in the class; `__mro_entries__` is a class statement that derives from the name.
    __call__ = __mro_entries__ = __instancecheck__ = __subclasscheck__ = _refuse
    __enter__ = __exit__ = __aenter__ = __aexit__ = __await__ = _refuse
    __iter__ = __next__ = __aiter__ = __len__ = __contains__ = __getitem__ = __setitem__ = __delitem__ = _refuse
    __int__ = __float__ = __index__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse

    def __bool__(self) -> bool:
        """Be true like a class or a function, although there is a ``__len__``."""
        return True


def unavailable(name: str) -> Any:
    """Return the replacement of a name of Determined; for the name of an exception a class that can be caught, but is never raised."""
    return _exception(name) if _is_exception(name) else Unavailable(name)


def _is_exception(name: str) -> bool:
    module, _, last = name.rpartition(".")
    is_class_of_errors = module.endswith(".errors") and last[:1].isupper()  # WorkerFinishedGracefully
    return last.endswith(("Error", "Exception", "InvalidHP")) or is_class_of_errors


@functools.cache
def _exception(name: str) -> type[Exception]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise refusal(name)

    return type(name.rpartition(".")[2], (Exception,), {"__new__": refuse, "__doc__": f"{name}: nothing raises it."})


def refusal(name: str) -> UnsupportedError:
    """Return the error of a use of ``name``, which is written as in a definition: ``determined.keras.TFKerasTrial``."""
    return UnsupportedError(f"detjupyter does not offer {name}.", hint=_instead(name))


def _instead(name: str) -> str:
    similar = _similar_name(name)
    if similar is not None:
        return f"Did you mean `{similar}`?"
    return instead_of(name.replace("determined_common", "determined.common", 1)) or "Leave it out."


def _similar_name(name: str) -> str | None:
    """Return the most similar name that the module of ``name`` does offer."""
    module, _, last = name.rpartition(".")
    similar = similar_name(module, last, _offered_by(module))
    return f"{module}.{similar}" if similar in _offered_by(module) else None


def _offered_by(module: str) -> list[str]:
    there = sys.modules.get(f"{_COMPAT}.{module}")
    return [] if there is None or isinstance(there, _UnavailableModule) else dir(there)


def _released(module: str, name: str) -> Any:
    """Return the replacement of a name that a release of Determined has in ``module``, which is written as in a definition.

    Raises:
        AttributeError: No release has it.
    """
    if not is_released(module, name):
        similar = similar_name(module, name, _offered_by(module))
        raise AttributeError(f"module {module!r} has no attribute {name!r}" + (f". Did you mean {similar!r}?" if similar else ""))
    full = f"{module}.{name}"
    return importlib.import_module(f"{_COMPAT}.{full}") if is_module(full) else unavailable(full)


class OfferedNames:
    """The ``__getattr__`` and ``__dir__`` of a module in place of one of Determined's.

    Args:
        module: The module's ``__name__``.
        modules: Its own modules, which are imported when they are first used as attributes.
        homes: Other names that are imported when they are first used, with their modules (``".cluster"`` is relative to ``module``), or
            with the module and the name there: ``".local:train_one_batch"``.
    """

    def __init__(self, module: str, *, modules: Sequence[str] = (), homes: dict[str, str] | None = None) -> None:
        self._module = module
        self._modules = modules
        self._homes = homes or {}

    def get(self, name: str) -> Any:
        """Return what the module offers under ``name``, or a replacement that refuses to be used.

        Raises:
            AttributeError: No release of Determined has the name.
        """
        if name == "__path__":
            return []  # `import determined.core._heartbeat`: to Python only a package can have submodules
        if name.startswith("__"):
            raise AttributeError(f"module {self._module!r} has no attribute {name!r}")
        if name in self._modules:
            return importlib.import_module(f"{self._module}.{name}")
        if name in self._homes:
            home, _, there = self._homes[name].partition(":")
            return getattr(importlib.import_module(home, self._module), there or name)
        return _released(_public(self._module), name)

    def list(self) -> list[str]:
        """Return the names that are offered."""
        own = vars(sys.modules[self._module])
        return sorted({*own.get("__all__", ()), *self._modules, *self._homes})


class _UnavailableModule(ModuleType):
    """A module of Determined that is not there. A private one (``determined.core._searcher``) gives the names that its parent offers."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        parent, _, last = self.__name__.rpartition(".")
        if last.startswith("_") and name in dir(sys.modules[parent]):
            return getattr(sys.modules[parent], name)
        return _released(_public(self.__name__), name)


class _MissingModules:
    """Finds every module of Determined's releases that Python's own finder does not find in :mod:`detjupyter.compat`."""

    def find_spec(self, fullname: str, _: Sequence[str] | None, __: ModuleType | None = None) -> ModuleSpec | None:
        """Return where ``fullname`` is answered, None if that is not here, or if no release of Determined has such a module."""
        if not fullname.startswith((f"{_COMPAT}.determined.", f"{_COMPAT}.determined_common.")):
            return None
        return ModuleSpec(fullname, self, is_package=True) if can_be_module(_public(fullname)) else None  # type: ignore[arg-type]  # derives from nothing

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make the module."""
        return _UnavailableModule(spec.name, f"{_public(spec.name)}: not supported; its names can be imported but not used.")

    def exec_module(self, _: ModuleType) -> None:
        """Do nothing: there is no code."""


def _public(module: str) -> str:
    return module.removeprefix(f"{_COMPAT}.")


# last: only names that no other finder knows
sys.meta_path.append(_MissingModules())
