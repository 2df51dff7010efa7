"""Find Trial classes by parsing the code, without importing it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from detjupyter.definition.entrypoint import Entrypoint

# A generated file of this size contains tables, not a Trial, and takes seconds to parse.
_MAX_BYTES = 2_000_000

# The ends of the names of Determined's classes. Nearly every file with a Trial class contains one: in the name of a base, or in an import.
_ENDS = ("Trial", "LightningAdapter")
_WORDS = frozenset(end.encode() for end in _ENDS)

_Key = tuple[str, str]  # a module's name relative to the root, and the dotted name of a class in it


@dataclass(slots=True)
class _Module:
    """The names that a module binds, as written.

    Attributes:
        name: Relative to the root.
        is_package: Whether it is an `__init__.py`.
        classes: The bases of each class, by the class's dotted name.
        imports: The targets that an import may bind each name to: a module (its name, and ""), or a name in a module.
        aliases: The dotted names that an assignment may bind each name to.
        stars: The modules imported with ``*``.
    """

    name: str
    is_package: bool
    classes: dict[str, list[str]] = field(default_factory=dict)
    imports: dict[str, list[_Key]] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


def find_trials(files: Mapping[str, Path]) -> list[Entrypoint]:
    """Return the Trial classes in a model definition, each once, sorted.

    A class counts as a Trial class if the name of one of its bases ends in ``Trial`` (`PyTorchTrial`, `TFKerasTrial`, `EstimatorTrial`, …)
    or ``LightningAdapter``, or if a base is such a class of the definition. Names are followed through imports and assignments, in all
    branches of an ``if`` or ``try``. Names with a leading underscore are bases of other classes and are skipped. For a class that an
    `__init__.py` imports, the shortest public name is returned. Files that cannot be parsed are skipped.

    Args:
        files: The Python files by module name relative to the root (empty for the top-level `__init__.py` or a single file).
    """
    return sorted(_read_index(files).entrypoints(), key=str)


def outside_bases(files: Mapping[str, Path], entrypoint: Entrypoint) -> list[str]:
    """Return the classes outside of the definition that a Trial class of the definition derives from, by their full names, sorted.

    They are found like the Trial classes, so the libraries that the definition imports need not be installed.

    Args:
        files: As for `find_trials`.
        entrypoint: The entrypoint of the class.
    """
    return sorted(set(_read_index(files).outside_bases(entrypoint)))


def module_name(path: str) -> str | None:
    """Return the module's name for a path relative to the root; None if no import statement can name it.

    Examples:
        >>> module_name("model_def.py"), module_name("nets/__init__.py"), module_name("__init__.py"), module_name("my-notes.py")
        ('model_def', 'nets', '', None)
    """
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if path.endswith(".py") and all(part.isidentifier() for part in parts) else None


def _read_index(files: Mapping[str, Path]) -> _Index:
    """Read the files that may contain Trial classes."""
    index = _Index()
    words: Iterable[bytes] = _WORDS
    unread = dict(files)
    while words:  # almost always once
        for name, path in list(unread.items()):
            tree = _parse(path, words)
            if tree is not None:
                del unread[name]
                index.add(_read(tree, _Module(name, is_package=path.name == "__init__.py" or not name)))
        # A class in another file that derives from a Trial class need not contain "Trial", but its file must contain the name of the base.
        words = {word for word in index.new_words() if not any(known in word for known in _WORDS)} if unread else ()
    return index


class _Index:
    """The modules read so far, and the resolution of their names."""

    def __init__(self) -> None:
        self._modules: dict[str, _Module] = {}
        self._words: set[bytes] = set()

    def add(self, module: _Module) -> None:
        """Add a module."""
        self._modules[module.name] = module

    def new_words(self) -> set[bytes]:
        """Return the names of all Trial classes found since the last call."""
        words = {found.rpartition(".")[2] for module in self._modules.values() for found in module.classes if self._counts(module, found)}
        for module in self._modules.values():
            words |= {name for name in (*module.imports, *module.aliases) if name not in words and self._leads_to_trial(module, name)}
        new = {word.encode() for word in words} - self._words
        self._words |= new
        return new

    def entrypoints(self) -> Iterator[Entrypoint]:
        """Yield the shortest public name of each Trial class."""
        names: dict[_Key, list[Entrypoint]] = {}
        for module in self._modules.values():
            for found in module.classes:
                if self._counts(module, found):
                    names.setdefault((module.name, found), []).insert(0, Entrypoint(module.name, tuple(found.split("."))))
            for name in self._exports(module) if module.is_package else ():
                for key in self._classes(module, name):
                    if self._counts(self._modules[key[0]], key[1]) and key != (module.name, name):
                        names.setdefault(key, []).append(Entrypoint(module.name, (name,)))
        for candidates in names.values():
            public = [one for one in candidates if not one.class_name.startswith("_")]
            if public:
                yield min(public, key=lambda entrypoint: len(str(entrypoint)))  # of equal lengths the first, in the defining module

    def outside_bases(self, entrypoint: Entrypoint) -> Iterator[str]:
        """Yield the full names of the classes outside of the definition that a class derives from."""
        module = self._modules.get(entrypoint.module)
        if module is not None:
            yield from self._outside_bases(module, ".".join(entrypoint.attributes), frozenset())

    def _outside_bases(self, module: _Module, name: str, seen: frozenset[_Key]) -> Iterator[str]:
        for source, target in self._follow(module, name):
            if source is None:
                yield target
            elif (source.name, target) not in seen:
                scope = target.rpartition(".")[0]
                for base in source.classes[target]:
                    inner = f"{scope}.{base}" if scope and f"{scope}.{base}" in source.classes else base
                    yield from self._outside_bases(source, inner, seen | {(source.name, target)})

    def _exports(self, module: _Module) -> Iterator[str]:
        yield from module.imports
        for star in module.stars:
            if star in self._modules:
                yield from (name for name in self._modules[star].classes if "." not in name)

    def _counts(self, module: _Module, found: str, seen: frozenset[_Key] = frozenset()) -> bool:
        """Return whether a base leads to a class outside of the definition whose name ends in ``Trial``."""
        if (module.name, found) in seen:
            return False
        seen |= {(module.name, found)}
        scope = found.rpartition(".")[0]
        for base in module.classes[found]:
            if scope and f"{scope}.{base}" in module.classes and self._counts(module, f"{scope}.{base}", seen):
                return True
            if self._leads_to_trial(module, base, seen):
                return True
        return False

    def _leads_to_trial(self, module: _Module, name: str, seen: frozenset[_Key] = frozenset()) -> bool:
        for source, target in self._follow(module, name):
            if source is None:
                if target.rpartition(".")[2].endswith(_ENDS):
                    return True
            elif self._counts(source, target, seen):
                return True
        return False

    def _classes(self, module: _Module, name: str) -> Iterator[_Key]:
        """Yield the classes of the definition that a name may lead to."""
        return ((source.name, target) for source, target in self._follow(module, name) if source is not None)

    def _follow(self, module: _Module, name: str, seen: frozenset[_Key] = frozenset()) -> Iterator[tuple[_Module | None, str]]:
        """Yield the possible targets of a dotted name: a class with its module, or None with a full name outside of the definition."""
        if (module.name, name) in seen:
            return
        seen |= {(module.name, name)}
        first, _, rest = name.partition(".")
        known = False
        if name in module.classes:
            known = True
            yield module, name
        for alias in module.aliases.get(first, ()):
            known = True
            yield from self._follow(module, f"{alias}.{rest}".rstrip("."), seen)
        for source, attribute in module.imports.get(first, ()):
            known = True
            yield from self._follow_import(source, ".".join(part for part in (attribute, rest) if part), seen)
        for star in () if known else module.stars:
            inside = self._modules.get(star)
            if inside is not None and (first in inside.imports or first in inside.aliases or first in inside.classes or inside.stars):
                known = True
                yield from self._follow(inside, name, seen)
        if not known:
            yield None, name

    def _follow_import(self, source: str, name: str, seen: frozenset[_Key]) -> Iterator[tuple[_Module | None, str]]:
        """Follow a dotted name that starts in a module, through its submodules (``import pkg`` and then ``pkg.sub.Base``)."""
        parts = name.split(".") if name else []
        for cut in range(len(parts) - 1, -1, -1):
            module = self._modules.get(".".join(part for part in (source, *parts[:cut]) if part))
            if module is not None:
                yield from self._follow(module, ".".join(parts[cut:]), seen)
                return
        yield None, ".".join(part for part in (source, name) if part)


def _parse(path: Path, words: Iterable[bytes]) -> ast.Module | None:
    """Parse a file if it contains one of the words, or if it is an `__init__.py` that may import ``*`` from such a module."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        source = path.read_bytes()
        takes_all = path.name == "__init__.py" and b"import *" in source
        if not takes_all and not any(word in source for word in words):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's warnings appear when the module is imported
            return ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _read(tree: ast.Module, module: _Module) -> _Module:
    """Fill in the names that a module binds."""
    here = module.name.split(".") if module.name else []
    for prefix, statement in _statements(tree.body):
        if isinstance(statement, ast.ClassDef):
            bases = module.classes.setdefault(prefix + statement.name, [])
            bases += (base for node in statement.bases for base in _dotted(node))
        elif prefix:
            continue  # imports and assignments in a class body are local to the class
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                top = alias.name.partition(".")[0]
                module.imports.setdefault(alias.asname or top, []).append((alias.name if alias.asname else top, ""))
        elif isinstance(statement, ast.ImportFrom):
            up = statement.level - 1 if module.is_package else statement.level
            above = (here[: len(here) - up] if up > 0 else here) if statement.level else []
            source = ".".join((*above, *(statement.module.split(".") if statement.module else ())))
            for alias in statement.names:
                if alias.name == "*":
                    module.stars.append(source)
                else:
                    module.imports.setdefault(alias.asname or alias.name, []).append((source, alias.name))
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                if isinstance(target, ast.Name):
                    module.aliases.setdefault(target.id, []).extend(_dotted(statement.value))
    return module


def _statements(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Yield the statements of a block and of its inner blocks (``if``, ``try``, ``with``, …) and classes, with the class they are in."""
    for statement in body:
        yield prefix, statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        inner = f"{prefix}{statement.name}." if isinstance(statement, ast.ClassDef) else prefix
        for part in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, part, ()), inner)
        for part in ("handlers", "cases"):
            for block in getattr(statement, part, ()):
                yield from _statements(block.body, inner)


def _dotted(node: ast.expr) -> Iterator[str]:
    """Yield the dotted names that an expression may evaluate to."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield from (f"{above}.{node.attr}" for above in _dotted(node.value))
    elif isinstance(node, ast.Subscript):
        yield from _dotted(node.value)
    elif isinstance(node, ast.IfExp):
        yield from (*_dotted(node.body), *_dotted(node.orelse))
