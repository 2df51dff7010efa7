"""The changes between two versions of a definition's code: files, classes and functions, found by parsing, not by importing."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from detjupyter.text import one_line

FileKind = Literal["added", "edited", "removed"]
NameKind = Literal["added", "changed", "removed"]

_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_MODULE_LEVEL = ""  # the key of statements outside classes and functions
_LISTED = 6


@dataclass(frozen=True, slots=True)
class NameChange:
    """A change of a class, a function, or the module-level statements.

    Attributes:
        name: Dotted, as in an entrypoint (``DigitsTrial.train_batch``); ``model_def (module level)`` for module-level statements.
        kind: The kind of the change.
    """

    name: str
    kind: NameKind

    def __str__(self) -> str:
        return one_line(f"{self.name} {self.kind}")


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file whose bytes changed.

    Attributes:
        path: Relative to the root, POSIX.
        kind: The kind of the change.
        names: The changes in the file, in its order, removed names last. Empty if the file was added or removed, is not Python, does not
            compile in one version, or if only comments or layout changed.
        read: Whether both versions were parsed as Python, so that empty ``names`` means that no name changed.
    """

    path: str
    kind: FileKind
    names: tuple[NameChange, ...] = ()
    read: bool = True

    def __str__(self) -> str:
        if self.kind != "edited" or not self.read:
            return one_line(f"{self.path} {self.kind}")
        if not self.names:
            return f"{one_line(self.path)}: only comments or layout"
        more = len(self.names) - _LISTED
        return f"{one_line(self.path)}: {', '.join(map(str, self.names[:_LISTED]))}" + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class CodeChanges:
    """All changed files, sorted by path. False if there are none; the text form is one line for messages."""

    files: tuple[FileChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files)

    def __str__(self) -> str:
        return "; ".join(map(str, self.files)) or "nothing changed"

    @property
    def names(self) -> tuple[NameChange, ...]:
        """The changed classes and functions of all files."""
        return tuple(name for file in self.files for name in file.names)

    @property
    def means_other_code(self) -> bool:
        """Whether the behavior of the code may differ: changes of comments and layout do not count."""
        return any(file.kind != "edited" or file.names or not file.read for file in self.files)


def code_changes(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> CodeChanges:
    r"""Compare two versions of a definition's code.

    Comments and layout do not count; docstrings do, because a program can read them. Statements inside a function belong to that
    function. A class is `changed` if its header, its decorators or its own statements differ; its methods are compared one by one. Of
    several plain definitions of a name in one block only the last counts, as in Python; decorated ones (``@property`` and its setter) and
    those in other branches of an ``if`` count together.

    Args:
        old: The old sources, by path relative to the root (POSIX).
        new: The new sources.

    Examples:
        >>> str(code_changes({"model_def.py": b"x = 1"}, {"model_def.py": b"x = 1\ndef helper(): ..."}))
        'model_def.py: helper added'
    """
    changed = []
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            changed.append(FileChange(path, "added"))
        elif path not in new:
            changed.append(FileChange(path, "removed"))
        elif old[path] != new[path]:
            changed.append(_edited(path, old[path], new[path]))
    return CodeChanges(tuple(changed))


def _edited(path: str, old: bytes, new: bytes) -> FileChange:
    before, after = (_definitions(path, source) for source in (old, new))
    if before is None or after is None:
        return FileChange(path, "edited", read=False)
    changes = []
    for name in (*after, *(name for name in before if name not in after)):
        kind: NameKind = "added" if name not in before else "removed" if name not in after else "changed"
        if kind == "changed" and before[name] == after[name]:
            continue
        outer = name.rpartition(".")[0]
        if kind != "changed" and outer and not (outer in before and outer in after):
            continue  # it was added or removed with its class
        changes.append(NameChange(name or f"{_module(path)} (module level)", kind))
    return FileChange(path, "edited", tuple(changes))


def _module(path: str) -> str:
    """Return the dotted name of a module: ``nets.deep`` for `nets/deep.py`, ``nets`` for `nets/__init__.py`."""
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def _definitions(path: str, source: bytes) -> dict[str, tuple[str, ...]] | None:
    """Return the definition of each name of a module, as text without positions; None if the module cannot be parsed."""
    if not path.endswith(".py"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's warnings appear when the module is imported
            tree = ast.parse(source)
        found: dict[str, list[str]] = {}
        found[_MODULE_LEVEL] = [*_outside_definitions(tree.body, "", found)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return {name: tuple(texts) for name, texts in found.items()}


def _outside_definitions(body: Sequence[ast.AST], prefix: str, found: dict[str, list[str]]) -> Iterable[str]:
    """Yield the statements of a block, without its classes and functions, which are added to ``found`` under their dotted names."""
    here: set[str] = set()
    for statement in body:
        if isinstance(statement, _Definition):
            name = prefix + statement.name
            if name in here and not statement.decorator_list:
                for hidden in [known for known in found if known == name or known.startswith(f"{name}.")]:
                    del found[hidden]
            here.add(name)
            texts = found.setdefault(name, [])
            if isinstance(statement, ast.ClassDef):
                texts += _header(statement)
                texts += _outside_definitions(statement.body, f"{name}.", found)
            else:
                texts.append(ast.dump(statement))
        elif any(getattr(statement, block, None) for block in _BLOCKS):
            yield from _compound(statement, prefix, found)
        else:
            yield ast.dump(statement)


def _header(statement: ast.ClassDef) -> Iterable[str]:
    """Yield the fields of a ``class`` statement except its body: decorators, bases, keywords, type parameters."""
    for field, value in ast.iter_fields(statement):
        if field != "body":
            yield field
            yield from (ast.dump(part) if isinstance(part, ast.AST) else repr(part) for part in _as_list(value))


def _compound(statement: ast.AST, prefix: str, found: dict[str, list[str]]) -> Iterable[str]:
    """Yield an ``if``, ``try``, ``with``, loop or ``match``: its kind, its conditions, and the contents of its blocks."""
    yield type(statement).__name__
    for field, value in ast.iter_fields(statement):
        if field in _BLOCKS:
            yield field
            yield from _outside_definitions(value, prefix, found)
        else:
            yield from (ast.dump(part) if isinstance(part, ast.AST) else repr(part) for part in _as_list(value))


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
