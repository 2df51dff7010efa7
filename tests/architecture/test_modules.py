"""What only all modules together show: the names that they list, the tree of the errors, and the examples in docstrings.

In one file, and so in one process, because importing everything takes seconds.
"""

from __future__ import annotations

import doctest
import functools
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import detjupyter
from detjupyter import errors
from detjupyter.errors import DetJupyterError

ROOT = Path(__file__).parents[2]


@functools.cache
def every_module() -> list[ModuleType]:
    """Import and return every module of the package."""
    return [importlib.import_module(module.name) for module in pkgutil.walk_packages(detjupyter.__path__, "detjupyter.")]


def drawn_parents(drawing: str) -> Iterator[tuple[str, str | None]]:
    """Yield each name of a drawn tree with the name above it."""
    above: list[str] = []
    for line in drawing.splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            yield found[2], above[depth - 1] if depth else None


def subclasses(kind: type) -> Iterator[type]:
    """Yield the subclasses of ``kind`` in the package, at any depth."""
    for one in kind.__subclasses__():
        if one.__module__.split(".")[0] == "detjupyter":
            yield one
            yield from subclasses(one)


def test_the_drawn_tree_is_the_tree_of_the_errors() -> None:
    """Each subclass of ``DetJupyterError``, wherever it is, is in ``errors.py`` and is drawn below its base."""
    every_module()
    drawing = (errors.__doc__ or "").split("```")[1]
    found = {
        one.__name__: next(base for base in one.__bases__ if issubclass(base, DetJupyterError)).__name__
        for one in subclasses(DetJupyterError)
    }
    assert dict(drawn_parents(drawing)) == {"DetJupyterError": None, **found}
    assert {one.__module__ for one in subclasses(DetJupyterError)} == {errors.__name__}


def test_errors_that_are_also_errors_of_python_are_drawn_as_such() -> None:
    """The drawing says which can be caught as a ``ValueError``, a ``KeyError`` or an ``AssertionError``."""
    drawing = (errors.__doc__ or "").split("```")[1]
    for kind in subclasses(DetJupyterError):
        (base,) = [base for base in kind.__bases__ if not issubclass(base, DetJupyterError)] or [None]
        (line,) = [line for line in drawing.splitlines() if re.search(rf"\b{kind.__name__}\b", line)]
        assert (base is not None) == ("(also a" in line), line
        assert base is None or base.__name__ in line


def test_every_module_lists_only_names_that_are_there() -> None:
    """``__all__`` of every module, where there is one, is resolvable (ruff sees to its order)."""
    for loaded in every_module():
        names = getattr(loaded, "__all__", [])
        assert all(hasattr(loaded, name) for name in names), loaded.__name__


def test_the_examples_in_docstrings_are_true() -> None:
    """Every ``>>>`` in the package gives what it says."""
    attempted = 0
    for path in sorted((ROOT / "detjupyter").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            result = doctest.testmod(module)
            assert result.failed == 0, path
            attempted += result.attempted
    assert attempted
