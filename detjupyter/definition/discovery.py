"""Finding Trial classes by reading the code, not importing it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detjupyter.definition.entrypoint import Entrypoint

# A generated file of this size holds tables, not a Trial, and takes seconds to parse.
_MAX_BYTES = 2_000_000

_Key = tuple[str, str]  # a module's name relative to the root, and the dotted name of a class in it


@dataclass(frozen=True, slots=True)
class _Class:
    """A class as written: its bases are keys of classes in the definition, or (None, the name as written)."""

    module: str
    name: str
    bases: tuple[tuple[str | None, str], ...]


def find_trials(files: Mapping[str, Path]) -> list[Entrypoint]:
    """Return the Trial classes in a model definition, sorted.

    A class counts when one of its bases is called ``…Trial`` (`PyTorchTrial`, `TFKerasTrial`, `EstimatorTrial`, …), or is a class of the
    definition that counts. Names with a leading underscore are bases for others, and are left out. Files that do not parse are skipped.

    Args:
        files: The Python files by module name relative to the root (empty for the top-level `__init__.py` or a single file).
    """
    classes: dict[_Key, _Class] = {}
    for module, path in files.items():
        tree = _parse(path)
        if tree is not None:
            is_package = path.name == "__init__.py" or not module
            classes.update({(found.module, found.name): found for found in _classes(tree, module, is_package=is_package)})
    trials = [found for found in classes.values() if _is_trial(found, classes, set()) and not found.name.rpartition(".")[2].startswith("_")]
    return sorted((Entrypoint(found.module, tuple(found.name.split("."))) for found in trials), key=str)


def module_name(path: str) -> str | None:
    """Return the module's name for a path relative to the root; None when no import statement could name it.

    Examples:
        >>> module_name("model_def.py"), module_name("nets/__init__.py"), module_name("__init__.py"), module_name("my-notes.py")
        ('model_def', 'nets', '', None)
    """
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if path.endswith(".py") and all(part.isidentifier() for part in parts) else None


def _parse(path: Path) -> ast.Module | None:
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        source = path.read_bytes()
        if b"class" not in source:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the compiler thinks of their escapes is said when they import
            return ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _classes(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[_Class]:
    """Yield the classes of a module, those inside of classes too, with their bases resolved by the module's own imports."""
    imported = dict(_imports(tree, module, is_package=is_package))
    local = {name for name, _ in _class_nodes(tree.body)}
    for name, node in _class_nodes(tree.body):
        scope = name.rpartition(".")[0]
        bases = (_dotted(base) for base in node.bases)
        yield _Class(module, name, tuple(_resolve(base, module, scope, local, imported) for base in bases if base))


def _class_nodes(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the classes in a block and in its ``if``, ``try`` and ``with`` blocks, with dotted names."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            name = prefix + statement.name
            yield name, statement
            yield from _class_nodes(statement.body, name + ".")
        elif not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for part in ("body", "orelse", "finalbody"):
                yield from _class_nodes(getattr(statement, part, ()), prefix)
            for handler in getattr(statement, "handlers", ()):
                yield from _class_nodes(handler.body, prefix)


def _imports(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[tuple[str, _Key]]:
    """Yield each imported name with the module it is from and its name there (empty: it is the module)."""
    here = module.split(".") if module else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], (alias.name if alias.asname else alias.name.partition(".")[0], "")
        elif isinstance(node, ast.ImportFrom):
            up = node.level - 1 if is_package else node.level
            above = here[: len(here) - up] if up > 0 else here
            source = ".".join((*(above if node.level else ()), *(node.module.split(".") if node.module else ())))
            for alias in node.names:
                yield alias.asname or alias.name, (source, alias.name)


def _resolve(base: str, module: str, scope: str, local: set[str], imported: Mapping[str, _Key]) -> tuple[str | None, str]:
    """Say which class a base is: (module, name) as far as this module tells, else (None, the text)."""
    for candidate in (f"{scope}.{base}" if scope else base, base):
        if candidate in local:
            return module, candidate
    first, _, rest = base.partition(".")
    if first not in imported:
        return None, base
    source, name = imported[first]
    if name and rest:  # `from pkg import layers` and then `layers.Base`, or `from x import Outer` and then `Outer.Inner`
        return f"{source}.{name}".lstrip("."), rest
    return (source, name) if name else _split_module(source, rest)


def _split_module(source: str, rest: str) -> tuple[str, str]:
    """Split ``pkg.sub.Base`` of ``import pkg.sub`` into its module and the class, taking the last name for the class."""
    path, _, name = f"{source}.{rest}".rpartition(".")
    return path, name


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = _dotted(node.value)
        return f"{above}.{node.attr}" if above else None
    return _dotted(node.value) if isinstance(node, ast.Subscript) else None


def _is_trial(found: _Class, classes: Mapping[_Key, _Class], seen: set[_Key]) -> bool:
    """Return whether a base, followed through the definition, is called ``…Trial`` where it leaves the definition."""
    key = (found.module, found.name)
    if key in seen:
        return False
    seen.add(key)
    for source, name in found.bases:
        inside = classes.get((source, name)) if source is not None else None
        if inside is not None:
            if _is_trial(inside, classes, seen):
                return True
        elif name.rpartition(".")[2].endswith("Trial"):
            return True
    return False
