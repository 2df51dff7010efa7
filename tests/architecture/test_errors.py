"""The errors: one tree, drawn completely, and hints that fit a script as well as a notebook."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import detjupyter
from detjupyter import errors
from detjupyter.errors import DetJupyterError

ROOMS = Path(detjupyter.__file__).parent
OF_NOTEBOOKS = ("magics", "widgets", "server", "labextension")
A_MAGIC = re.compile(r"%%?det_|`%%?[a-z]|(?<![\w-])--[a-z]")


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
    for module in pkgutil.walk_packages(detjupyter.__path__, "detjupyter."):
        importlib.import_module(module.name)
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


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the string literals of a module that are no docstrings, with their lines."""
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.Expr))
    described = {id(node.value) for node in statements}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.lineno, node.value


def test_nothing_below_the_views_speaks_of_magics() -> None:
    """No text has a magic or an option of one in it: hints name next steps, see ``next_step.py``."""
    found = {
        f"{path.relative_to(ROOMS)}:{line}": text
        for path in sorted(ROOMS.rglob("*.py"))
        if path.relative_to(ROOMS).parts[0] not in OF_NOTEBOOKS and path.name != "next_step.py"
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if A_MAGIC.search(text)
    }
    assert found == {}
