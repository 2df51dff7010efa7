"""``determined.import_from_path``: importing an older version of a module beside the one that is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_active = False


@contextmanager
def import_from_path(path: str | Path) -> Iterator[None]:
    """Import from ``path`` first inside the block; afterwards all is as before, and what was imported from there is forgotten.

    It is about the kernel's own modules: what a definition imports is apart from them anyway.

    Raises:
        RuntimeError: It is nested.
    """
    global _active
    if _active:
        raise RuntimeError("import_from_path() cannot be nested.")
    root = str(Path(path).resolve())
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
