"""The directories that a definition adds to ``sys.path``: they apply only to the definition, not to the kernel.

``sys.path.insert(0, "lib")`` at the top of a module is common. A directory below the root becomes another directory of the definition's own
modules. A directory outside (``sys.path.append("../common")``) is searched only for the definition, and its modules are imported like those
of any installed package.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path


class SearchPath:
    """The directories that are searched for the modules of one load.

    Args:
        path: The directory of the definition, or its single file.

    Attributes:
        inside: The directories of the definition's own modules, its root first; empty for a single file.
    """

    def __init__(self, path: Path) -> None:
        self.inside: list[str] = [] if path.is_file() else [str(path)]
        self._root = path
        self._outside: list[str] = []
        self._kernels = list(sys.path)
        self._seen = list(sys.path)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Restore ``sys.path`` after the block; inside the block, ``""`` still means the kernel's working directory."""
        before = list(sys.path)
        try:
            here = os.getcwd()  # noqa: PTH109 -- as the import system does
        except OSError:  # the kernel's directory was deleted: no module can be found there
            here = ""
        self._kernels = self._seen = [place for place in (entry or here for entry in before) if place]
        sys.path[:] = self._kernels
        try:
            yield
        finally:
            self.update()
            sys.path[:] = before
            self._seen = list(before)

    def update(self) -> bool:
        """Add the directories that were added to ``sys.path`` since the last call; return whether one is inside the definition."""
        if sys.path == self._seen:
            return False
        known = {*self._kernels, *self._seen}
        self._seen = list(sys.path)
        new = [Path(entry).resolve() for entry in sys.path if isinstance(entry, str) and entry not in known]
        own = [str(place) for place in new if place.is_relative_to(self._root) and str(place) not in self.inside and place.is_dir()]
        self.inside += own
        self._outside += [str(place) for place in new if not place.is_relative_to(self._root)]
        return bool(own)

    def load(self, top: str) -> bool:
        """Import the package or module ``top`` from an added directory outside; return whether it exists."""
        spec = PathFinder.find_spec(top, self._outside) if self._outside else None
        if spec is None or spec.loader is None:
            return False
        module = importlib.util.module_from_spec(spec)
        sys.modules[top] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(top, None)
            raise
        return True
