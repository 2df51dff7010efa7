"""Errors have hints that fit a script as well as a notebook."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support.parsed import parsed

import detjupyter

ROOMS = Path(detjupyter.__file__).parent
OF_NOTEBOOKS = ("magics", "widgets", "server", "picture", "labextension")
A_MAGIC = re.compile(r"%%?det_|`%%?[a-z]|(?<![\w-])--[a-z]")


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
        for line, text in texts(parsed(path))
        if A_MAGIC.search(text)
    }
    assert found == {}
