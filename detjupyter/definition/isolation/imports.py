"""Import one version of one model definition, isolated from the kernel's own imports.

Each load gives the definition a private package, ``detjupyter.loaded.<name>_<n>``, and its modules are in ``sys.modules`` only below
that name. So the user's own cells keep their ``sys.path``, their working directory and their ``import data``. Two definitions that both
have a ``model_def``, and two versions of the same definition, can be loaded at the same time.

Inside a definition all import styles lead to the same private module:

* package style (``from . import data``) by Python's own rules, because the private package is a package;
* sibling style (``import data``) because each module of the definition gets its own ``__builtins__``, whose ``__import__`` first searches
  the root of the definition. A function keeps the builtins of its module, so this also applies to imports that run later, in any thread;
* by the name of the directory (``from mnist import data`` in ``mnist/``), as in Determined's documentation, unless an installed package
  has that name.

:mod:`detjupyter.compat` provides ``determined`` and ``determined_common``, whether they are installed or not. All other names are imported
as usual, and so are imports made by C code for a definition. For pickles see :mod:`detjupyter.definition.isolation.builtin_shims`, for
installed modules that have changed :mod:`detjupyter.definition.isolation.shims`.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from detjupyter.definition.isolation import finding, working_directory
from detjupyter.definition.isolation.builtin_shims import ImportlibShim, ImportlibUtilShim, PickleShim
from detjupyter.definition.isolation.names import COMPAT, DETERMINED, PREFIX, identifier
from detjupyter.definition.isolation.search_path import SearchPath
from detjupyter.definition.isolation.shims import ImportShims

_numbers = itertools.count(1)
_STANDARD = sys.stdlib_module_names | {"test"}
_SITE = {"site-packages", "dist-packages"}


def _new_package(name: str) -> str:
    """Return a private name that no load has, in this process or in its parent."""
    return next(one for number in _numbers if not finding.is_inherited(one := f"{PREFIX}.{name}_{number}"))


class DefinitionScope:
    """The modules of one load of one definition.

    Args:
        path: The directory, or the single file.
        package: The private name of a load of the parent process; None for a new load.

    Attributes:
        path: The directory, or the single file.
        package: The private name of the definition as a package.
        loaded_at: The time of the load, in seconds since the Unix epoch.
        is_released: Whether the scope was released, for example because another load replaced it.

    Thread: any; Python's own import locks protect each module, and no two scopes share a module.
    """

    def __init__(self, path: Path, *, package: str | None = None) -> None:
        importlib.import_module(PREFIX)  # the import system requires the parent of every private name
        self.path = path.resolve()
        self.package = package or _new_package(identifier(self.name))
        self.loaded_at = time.time()
        self.is_released = False
        self._sources: dict[str, bytes] = {}
        self._signatures: dict[str, object] = {}
        self._at_root: dict[str, bool] = {}
        self._search_path = SearchPath(self.path)
        self._has_own_name: bool | None = None
        self.builtins = {**vars(builtins), "__import__": self._import}
        if not working_directory.threads_may_have_their_own():
            self.builtins["open"] = working_directory.open_from(self.root)
        shims = ImportlibShim(self), ImportlibUtilShim(self), PickleShim(self)
        self._replacements: dict[str, ModuleType] = {shim.__name__: shim for shim in shims}
        self._shims = ImportShims()
        finding.add(self)  # last: from here on, other threads can import from this scope

    def __repr__(self) -> str:
        return f"DefinitionScope({str(self.path)!r}, package={self.package!r})"

    @property
    def name(self) -> str:
        """The directory's name, or the file's without its suffix."""
        return self.path.stem if self.path.is_file() else self.path.name

    @property
    def root(self) -> Path:
        """The directory that relative names start from."""
        return self.path.parent if self.path.is_file() else self.path

    def import_module(self, name: str) -> ModuleType:
        """Import a module by its name relative to the root (empty: the definition itself) and return it.

        Raises:
            Exception: Any exception of the definition's code.
        """
        return importlib.import_module(self._private(name))

    def modules(self) -> dict[str, ModuleType]:
        """Return the modules imported so far by their names relative to the root (the root's own name is empty)."""
        return {
            name[len(self.package) + 1 :]: module
            for name, module in list(sys.modules.items())
            if name == self.package or name.startswith(self.package + ".")
        }

    def sources(self) -> dict[str, bytes]:
        """Return the source of each module imported so far, as it was loaded, by path relative to the root (POSIX)."""
        return dict(self._sources)

    def sources_now(self) -> dict[str, bytes]:
        """Return the current content of the files of the imported modules, without deleted ones. Only changed files are read again."""
        sources = {}
        for name, source in self.sources().items():
            path = self.root / name
            try:
                sources[name] = source if _signature(path) == self._signatures.get(name) else path.read_bytes()
            except OSError:
                continue
        return sources

    def read_source(self, path: Path) -> bytes:
        """Read a file of the definition, and keep its content as the version of this scope, also for spawned processes."""
        name = path.relative_to(self.root).as_posix()
        source = finding.published_source(self.package, name)
        if source is None:
            self._signatures[name] = _signature(path)  # before reading, so that an edit in between is not missed
            source = path.read_bytes()
            finding.publish_source(self.package, name, source)
        self._sources[name] = source
        return source

    @contextmanager
    def active(self) -> Iterator[None]:
        """Run code of the definition in the block: relative paths start at its root, and its additions to ``sys.path`` are private.

        Raises:
            OSError: The root does not exist any more.
        """
        with self._search_path.kept(), working_directory.at(self.root):
            yield

    def missing_part(self, name: str) -> str | None:
        """Return the first missing part of a module's name (``pkg.nets`` of ``pkg.nets.deep``), without importing; None if all exist."""
        spec: ModuleSpec | None = self._root_spec()
        parts = name.split(".") if name else []
        for depth, part in enumerate(parts, start=1):
            spec = _find(f"{self.package}.{part}", (spec and spec.submodule_search_locations) or (), self)
            if spec is None:
                return ".".join(parts[:depth])
        return None

    def hidden_modules(self) -> list[str]:
        """Return the names of Python's own and of installed modules that modules of the definition hide inside the definition."""
        tops = sorted({name.partition(".")[0] for name in self.modules() if name})
        installed = [place for place in sys.path if _SITE.intersection(Path(place).parts)]
        return [top for top in tops if top in _STANDARD or PathFinder.find_spec(top, installed) is not None]

    def release(self, replaced: str | None = None) -> None:
        """Remove the modules from ``sys.modules``. Code in use continues to run, but cannot import more modules of the definition.

        Args:
            replaced: The names that a reload replaced (``train_batch``); None if no reload replaced the scope.
        """
        if not self.is_released:
            self.is_released = True
            finding.remove(self, replaced)

    def find_spec(self, fullname: str, search_path: Sequence[str] | None) -> ModuleSpec | None:
        """Find a module of this scope by its private name, for the import system's finder."""
        return self._root_spec() if fullname == self.package else _find(fullname, search_path or (), self)

    def owns(self, name: str) -> bool:
        """Return whether an absolute import of ``name`` inside the definition means a module of the definition.

        It does if the root contains ``name.py``, a package ``name/``, or a directory ``name/`` with Python files. A directory that contains
        only data is a namespace package where nothing else has its name. The result is cached for the lifetime of the scope.
        """
        top = name.partition(".")[0]
        if self._search_path.update():  # the definition has added one of its directories
            self._at_root.clear()
        if top not in self._at_root:
            self._at_root[top] = self._is_at_root(top)
        return self._at_root[top]

    def private_name(self, name: str) -> str:
        """Return the name to import for an absolute import of ``name`` inside the definition; most names are returned unchanged.

        Raises:
            ImportError: This version of the code was replaced by a reload.
        """
        if self.is_released:
            raise ImportError(f"{name!r} cannot be imported from {finding.replaced_text(self.package)}", name=name)
        if self.owns(name):
            return self._private(name)
        top, _, rest = name.partition(".")
        if top in DETERMINED:
            return f"{COMPAT}.{name}"
        if top == self.name and not self.path.is_file():
            if self._has_own_name is None:
                self._has_own_name = self._is_own_name(top)
            return self._private(rest) if self._has_own_name else name
        return name

    def _private(self, name: str) -> str:
        if self.path.is_file() or not name:
            return self.package
        return f"{self.package}.{name}"

    def _is_at_root(self, top: str) -> bool:
        if self.path.is_file():
            return top == self.path.stem
        # Python never searches the path for these modules either.
        if top in sys.builtin_module_names or top == "__main__":
            return False
        spec = _find(f"{self.package}.{top}", self._search_path.inside, self)
        if spec is None:
            return False
        if spec.loader is not None or any(_contains_python(Path(place)) for place in spec.submodule_search_locations or ()):
            return True
        return top not in DETERMINED and self._is_own_name(top)  # Python's namespace package, where nothing else has the name

    def _is_own_name(self, top: str) -> bool:
        """Return whether the directory's name is free: not a module of Python, and not an installed package."""
        if top in sys.stdlib_module_names:
            return False
        try:
            spec = find_spec(top)  # by every finder, since a package that is installed for editing has its own
        except ValueError:  # a module in use that has no spec
            return False
        places = [] if spec is None else [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
        return not any(_has_code(Path(place), self.path) for place in places)

    def _root_spec(self) -> ModuleSpec:
        """Return the spec of the definition as a package: its `__init__.py`, the single file, or neither (a namespace package)."""
        file = self.path if self.path.is_file() else self.path / "__init__.py"
        inside = [] if self.path.is_file() else self._search_path.inside  # the list itself, so that later additions are found, too
        if not file.is_file():
            spec = ModuleSpec(self.package, None, is_package=True)
            spec.submodule_search_locations = inside
            return spec
        loader = DefinitionLoader(self.package, str(file), scope=self)
        found = spec_from_file_location(self.package, file, loader=loader)
        assert found is not None  # None is only returned for a loader without a file
        found.submodule_search_locations = inside  # passed to the call, an empty list would become the file's directory
        return found

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 -- the signature of __import__
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Replace ``__import__`` for a module of the definition."""
        # C code (PyImport_Import) passes an empty list, and looks up the plain name in sys.modules afterwards.
        by_c_code = isinstance(fromlist, list) and not fromlist
        if by_c_code or (level != 0 and not self.is_released):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        private = self.private_name(name)
        if private != name:
            module = builtins.__import__(private, None, None, fromlist or (), 0)
            return module if fromlist else sys.modules[self.private_name(name.partition(".")[0])]
        try:
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError:
            if not self._search_path.load(name.partition(".")[0]):
                raise
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
        found = getattr(module, "__name__", "")
        if found not in self._replacements and self._shims.applies_to(found):
            self._replacements[found] = self._shims.apply(found, module)
        return self._replacements.get(found, module)


class DefinitionLoader(SourceFileLoader):
    """Loads a module of a definition from its source: always the current text of the file, without writing byte code.

    Python's own loader trusts a `__pycache__` with the same time stamp (in seconds) and size, and therefore misses quick edits.
    """

    def __init__(self, fullname: str, path: str, *, scope: DefinitionScope) -> None:
        super().__init__(fullname, path)
        self.scope = scope
        self._source = b""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        path = self.get_filename(fullname)
        self._source = self.scope.read_source(Path(path))
        try:
            return self.source_to_code(self._source, path)
        except SyntaxError as error:
            error.filename = error.filename or path  # for a null byte, Python 3.11 does not set the file name
            raise

    def lines(self) -> list[str]:
        """Return the lines of the loaded source; the file may have changed since."""
        return [f"{line}\n" for line in self._source.decode("utf-8", "replace").splitlines()]

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with the builtins of its definition."""
        vars(module)["__builtins__"] = self.scope.builtins
        super().exec_module(module)


def _find(fullname: str, search_path: Sequence[str], scope: DefinitionScope) -> ModuleSpec | None:
    """Search directories for a module by the last part of its name, as Python does: package, file, then plain directory."""
    loader = functools.partial(DefinitionLoader, scope=scope)
    namespace: ModuleSpec | None = None
    for directory in search_path:
        # A new finder each time: a cached finder reads its directory again only if the time stamp changes, and misses quick edits.
        finder = FileFinder(directory, (ExtensionFileLoader, EXTENSION_SUFFIXES), (loader, SOURCE_SUFFIXES))  # type: ignore[arg-type]
        spec = finder.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            return spec
        namespace = namespace or spec
    return namespace


def _signature(path: Path) -> object:
    """Return a value that changes when a file is written."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def _contains_python(directory: Path, *, depth: int = 2) -> bool:
    """Return whether there are Python files in a directory, or at most ``depth`` levels below."""
    try:
        entries = list(directory.iterdir())
    except OSError:
        return False
    if any(entry.suffix == ".py" for entry in entries):
        return True
    return depth > 0 and any(_contains_python(entry, depth=depth - 1) for entry in entries if "." not in entry.name and entry.is_dir())


def _has_code(place: Path, definition: Path) -> bool:
    """Return whether a location on Python's path is a module, and not the definition itself or a directory that contains only data."""
    resolved = place.resolve()
    if resolved.is_relative_to(definition):
        return False
    return resolved.is_file() or _contains_python(resolved)


finding.adopt_with(lambda path, package: DefinitionScope(path, package=package))
