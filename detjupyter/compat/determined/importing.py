"""``determined.import_from_path``: import an older version of a module next to the loaded one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.errors import UnsupportedError

_active = False


def import_from_path(path: str | Path) -> AbstractContextManager[None]:
    """Import from ``path`` first inside the block; afterwards all is as before, and what was imported from there is forgotten.

    It is about the kernel's own modules. What a definition imports is apart from them: a module that it has itself cannot be had from
    elsewhere this way.

    Raises:
        RuntimeError: It is nested.
        UnsupportedError: A module of ``path`` has the name of one of the definition that asks.
    """
    directory = Path(path).resolve()
    scope = _scope_of(sys._getframe(1).f_globals)
    own = [] if scope is None else sorted(name for name in _names_in(directory) if scope.owns(name))
    if own:
        raise UnsupportedError(
            f"Inside this definition `import {own[0]}` is its own module, not the one in {str(directory)!r}.",
            hint="`determined.pytorch.load_trial_from_checkpoint_path` loads an older version in addition.",
        )
    return _importing_from(directory)


def _scope_of(names: Mapping[str, Any]) -> DefinitionScope | None:
    """Return the definition whose module has these globals, None if none has."""
    own = names.get("__builtins__")
    scope = getattr(own.get("__import__"), "__self__", None) if isinstance(own, dict) else None
    return scope if isinstance(scope, DefinitionScope) else None


def _names_in(directory: Path) -> set[str]:
    """Return the names of the modules and packages right in a directory."""
    if not directory.is_dir():
        return set()
    return {entry.stem for entry in directory.iterdir() if entry.suffix == ".py" or entry.is_dir()}


@contextmanager
def _importing_from(directory: Path) -> Iterator[None]:
    global _active
    if _active:
        raise RuntimeError("import_from_path() cannot be nested.")
    root = str(directory)
    here = {"", str(Path.cwd())}
    before, writes = list(sys.path), sys.dont_write_bytecode
    hidden = {name: module for name, module in list(sys.modules.items()) if _stands_in(module, here)}
    _active = True
    try:
        for name in hidden:
            del sys.modules[name]
        sys.path[:] = [root, *(place for place in before if place not in here)]
        sys.dont_write_bytecode = True
        yield
    finally:
        _active = False
        sys.path[:], sys.dont_write_bytecode = before, writes
        for name, module in list(sys.modules.items()):
            if _stands_in(module, {root}):
                del sys.modules[name]
        sys.modules.update(hidden)


def _stands_in(module: ModuleType, places: set[str]) -> bool:
    file = getattr(module, "__file__", None)
    if not file or "site-packages" in file:
        return False
    return any(place and Path(file).is_relative_to(place) for place in places)
