"""Importing one version of one model definition without touching what the kernel imports.

Each load gives the definition a private package, ``detjupyter_loaded.<name>_<n>``, and its modules stand in ``sys.modules`` only below
that name. So the user's own cells keep their ``sys.path``, their working directory and their ``import data``; two definitions that both
have a ``model_def``, and two versions of the same one, live side by side.

Inside a definition both import styles lead to the same private module:

* package style (``from . import data``) by Python's own rules, because the private package is a package;
* sibling style (``import data``) because each module of the definition is given its own ``__builtins__``, whose ``__import__`` first looks
  for the name at the root of the definition. A function keeps the builtins of the module it was written in, so this holds for imports
  that run later, in any thread, too. All other names take the ordinary way.

Imports made by C code on behalf of a definition (unpickling a class that was pickled as ``data.Vocabulary``) take the ordinary way.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import itertools
import keyword
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

#: The package that holds all that was ever loaded.
PREFIX = "detjupyter_loaded"

_PRIVATE_NAME = re.compile(rf"{PREFIX}\.(\w+)_\d+(\.?)")

_numbers = itertools.count(1)
_lock = threading.Lock()
_scopes: dict[str, DefinitionScope] = {}


class DefinitionScope:
    """The modules of one load of one definition.

    Attributes:
        path: The directory, or the single file.
        package: The private name of the definition as a package.

    Thread: any; Python's own import locks guard each module, and no two scopes share one.
    """

    def __init__(self, path: Path) -> None:
        _install_finder()
        self.path = path.resolve()
        self.package = f"{PREFIX}.{_identifier(self.path.stem if self.path.is_file() else self.path.name)}_{next(_numbers)}"
        self._at_root: dict[str, bool] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._importlib = _ImportlibOfDefinition(self)
        _scopes[self.package] = self

    def __repr__(self) -> str:
        return f"DefinitionScope({str(self.path)!r}, package={self.package!r})"

    def import_module(self, name: str) -> ModuleType:
        """Import a module by its name relative to the root (empty: the definition itself) and return it.

        Raises:
            Whatever the code of the definition raises.
        """
        return importlib.import_module(self._private(name))

    def modules(self) -> dict[str, ModuleType]:
        """Return the modules imported so far by their names relative to the root (the root's own name is empty)."""
        return {
            name[len(self.package) + 1 :]: module
            for name, module in list(sys.modules.items())
            if name == self.package or name.startswith(self.package + ".")
        }

    def missing_part(self, name: str) -> str | None:
        """Return the first part of a module's name that is not there (``pkg.nets`` of ``pkg.nets.deep``), without importing; else None."""
        spec: ModuleSpec | None = self._root_spec()
        parts = name.split(".") if name else []
        for depth, part in enumerate(parts, start=1):
            spec = _find(f"{self.package}.{part}", (spec and spec.submodule_search_locations) or (), self._builtins)
            if spec is None:
                return ".".join(parts[:depth])
        return None

    def release(self) -> None:
        """Take the modules out of ``sys.modules``. Code that is in use goes on, but can import no more of its siblings."""
        with _lock:
            _scopes.pop(self.package, None)
            for name in self.modules():
                sys.modules.pop(self._private(name), None)
            vars(sys.modules[PREFIX]).pop(self.package.rpartition(".")[2], None)

    def find_spec(self, fullname: str, search_path: Sequence[str] | None) -> ModuleSpec | None:
        """Find a module of this scope by its private name (the finder's part of an import)."""
        return self._root_spec() if fullname == self.package else _find(fullname, search_path or (), self._builtins)

    def owns(self, name: str) -> bool:
        """Return whether an absolute import of ``name`` inside the definition means a module of the definition.

        It does if the root holds ``name.py``, a package ``name/``, or a directory ``name/`` with Python files in it. A directory of mere
        data does not hide an installed package of the same name. The answer is kept for the life of the scope.
        """
        top = name.partition(".")[0]
        if top not in self._at_root:
            self._at_root[top] = self._is_at_root(top)
        return self._at_root[top]

    def private_name(self, name: str) -> str:
        """Return the name under which an absolute import of ``name`` is to be found: private if the definition owns it, else ``name``."""
        return self._private(name) if self.owns(name) else name

    def _private(self, name: str) -> str:
        if self.path.is_file() or not name:
            return self.package
        return f"{self.package}.{name}"

    def _is_at_root(self, top: str) -> bool:
        if self.path.is_file():
            return top == self.path.stem
        # Python never looks these up on the path either.
        if top in sys.builtin_module_names or top == "__main__":
            return False
        spec = _find(f"{self.package}.{top}", [str(self.path)], self._builtins)
        if spec is None:
            return False
        return spec.loader is not None or any(_holds_python(Path(place)) for place in spec.submodule_search_locations or ())

    def _root_spec(self) -> ModuleSpec:
        """Return the spec of the definition as a package: its `__init__.py`, the single file, or neither (a namespace package)."""
        file = self.path if self.path.is_file() else self.path / "__init__.py"
        inside = [] if self.path.is_file() else [str(self.path)]
        if not file.is_file():
            spec = ModuleSpec(self.package, None, is_package=True)
            spec.submodule_search_locations = inside
            return spec
        loader = DefinitionLoader(self.package, str(file), self._builtins)
        found = spec_from_file_location(self.package, file, loader=loader)
        assert found is not None  # it is None only for a loader without a file
        found.submodule_search_locations = inside  # given to the call, an empty list would become the file's directory
        return found

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 -- the signature of __import__
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what ``__import__`` does, for a module of the definition."""
        # C code (PyImport_Import) passes an empty list, and looks the plain name up in sys.modules afterwards.
        by_c_code = isinstance(fromlist, list) and not fromlist
        if level != 0 or by_c_code:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        top, _, rest = name.partition(".")
        if top == "importlib" and not self.owns(top) and (not rest or not fromlist):
            builtins.__import__(name, globals, locals, fromlist or (), 0)
            return self._importlib
        if not self.owns(name):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(self._private(name), None, None, fromlist or (), 0)
        return module if fromlist else sys.modules[self._private(top)]


class DefinitionLoader(SourceFileLoader):
    """Loads a module of a definition from its source: always what the file says now, and nothing written beside it.

    Python's own loader trusts a `__pycache__` whose time stamp (in seconds) and size agree, and so misses quick edits.
    """

    def __init__(self, fullname: str, path: str, definition_builtins: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = definition_builtins

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        try:
            return self.source_to_code(source, path)
        except SyntaxError as error:
            error.filename = error.filename or path  # about a null byte Python 3.11 does not say where
            raise
        except ValueError as error:  # the same in Python 3.10
            raise SyntaxError(str(error), (path, None, None, None)) from None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with the builtins of its definition."""
        vars(module)["__builtins__"] = self._builtins
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds what stands below the private prefix, and nothing else."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 -- the finder protocol
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX + "."):
            return None
        scope = _scopes.get(".".join(fullname.split(".", 2)[:2]))
        return scope.find_spec(fullname, path) if scope is not None else None


class _ImportlibOfDefinition(ModuleType):
    """The module ``importlib`` as a definition sees it: the real one, but ``import_module`` knows the definition's own modules."""

    def __init__(self, scope: DefinitionScope) -> None:
        super().__init__("importlib", importlib.__doc__)
        self._scope = scope

    def __getattr__(self, name: str) -> Any:  # whatever importlib holds
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module as :func:`importlib.import_module` does, the definition's own first."""
        if name.startswith("."):
            return importlib.import_module(name, package and self._scope.private_name(package))
        return importlib.import_module(self._scope.private_name(name))


def public_text(text: str) -> str:
    """Turn private names in a message of Python's into the names that the user wrote.

    Examples:
        >>> public_text("No module named 'detjupyter_loaded.digits_3.layers'")
        "No module named 'layers'"
        >>> public_text("cannot import name 'x' from 'detjupyter_loaded.digits_3'")
        "cannot import name 'x' from 'digits'"
    """
    return _PRIVATE_NAME.sub(lambda match: "" if match[2] else match[1], text)


def _find(fullname: str, search_path: Sequence[str], definition_builtins: dict[str, Any]) -> ModuleSpec | None:
    """Look for a module by the last part of its name in directories, as Python would: package, file, then plain directory."""
    loader = functools.partial(DefinitionLoader, definition_builtins=definition_builtins)
    namespace: ModuleSpec | None = None
    for directory in search_path:
        # A new finder each time: one that is kept lists its directory again only when the time stamp moves, and misses quick edits.
        finder = FileFinder(directory, (ExtensionFileLoader, EXTENSION_SUFFIXES), (loader, SOURCE_SUFFIXES))  # type: ignore[arg-type]
        spec = finder.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            return spec
        namespace = namespace or spec
    return namespace


def _holds_python(directory: Path, *, depth: int = 2) -> bool:
    """Return whether there are Python files in a directory, or a little below."""
    try:
        entries = list(directory.iterdir())
    except OSError:
        return False
    if any(entry.suffix == ".py" for entry in entries):
        return True
    return depth > 0 and any(_holds_python(entry, depth=depth - 1) for entry in entries if "." not in entry.name and entry.is_dir())


def _identifier(name: str) -> str:
    """Turn a directory's name into a Python name that people still recognise."""
    safe = re.sub(r"\W", "_", name) or "definition"
    return f"_{safe}" if safe[0].isdigit() or keyword.iskeyword(safe) else safe


def _install_finder() -> None:
    """Make the private prefix importable: once per process, before the first load."""
    with _lock:
        if PREFIX not in sys.modules:
            package = ModuleType(PREFIX, "The model definitions that detjupyter has loaded, one package for each load.")
            package.__path__ = []
            package.__spec__ = ModuleSpec(PREFIX, None, is_package=True)
            sys.modules[PREFIX] = package
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
