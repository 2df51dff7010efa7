"""The tests themselves: what they share is in one package, and each states its claim."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.parsed import parsed

TESTS = Path(__file__).parents[1]
TIERS = {path.name for path in TESTS.iterdir() if path.is_dir()} - {"support"}


def modules() -> list[Path]:
    """Return the test modules, without the definitions that they load."""
    return sorted(TESTS.rglob("test_*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the modules that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_test_module_imports_another() -> None:
    """What several tests need is in ``support``, or a fixture."""
    found = [
        f"{path.relative_to(TESTS)}: {name}"
        for path in [*modules(), *TESTS.rglob("conftest.py"), *(TESTS / "support").glob("*.py")]
        for name in imported(parsed(path))
        if name.partition(".")[0] in {*TIERS, "tests", "conftest"} or name.rpartition(".")[2].startswith("test_")
    ]
    assert found == []


@pytest.mark.parametrize("tier", sorted(tier for tier in TIERS if list((TESTS / tier).rglob("test_*.py"))))
def test_each_test_states_its_claim(tier: str) -> None:
    """In a docstring, below a name of several words."""
    found = [
        f"{path.relative_to(TESTS)}: {node.name}"
        for path in modules()
        if path.relative_to(TESTS).parts[0] == tier
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        if not ast.get_docstring(node) or node.name.count("_") < 2
    ]
    assert found == []
