"""Find the modules of loaded definitions by their private names, in this process and in processes spawned from it.

A private name may come from a pickle. In a worker that a data loader spawned, it names a scope of the parent. So the parent publishes its
loaded definitions in a temporary directory, whose path is in the environment variable ``DETJUPYTER_LOADED``: the root of each definition,
and the source of each module as it was loaded (the file may have been edited since). A name whose scope no longer exists anywhere refers to
the newest load of a definition of the same name.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from detjupyter.definition.isolation.names import PREFIX, public_text
from detjupyter.errors import DefinitionError
from detjupyter.next_step import NextStep

if TYPE_CHECKING:
    from detjupyter.definition.opened_files import UsageWatch

VARIABLE = "DETJUPYTER_LOADED"

_ROOT_FILE = ".root"
_USAGE_FILE = ".usage"


class Scope(Protocol):
    """The modules of one load, as far as this module needs them."""

    package: str
    path: Path
    loaded_at: float

    def modules(self) -> dict[str, ModuleType]:
        """Return the modules imported so far, by their names relative to the root."""

    def find_spec(self, fullname: str, search_path: Sequence[str] | None) -> ModuleSpec | None:
        """Find a module by its private name."""


_lock = threading.RLock()  # reentrant: adopting a scope adds it, and adding a scope publishes it
_scopes: dict[str, Scope] = {}
_adopt: Callable[[Path, str], Scope] | None = None
_replaced: dict[str, str] = {}
_inherited = os.environ.get(VARIABLE)  # now: publishing sets the variable to the directory of this process
_published: tuple[int, Path] | None = None
_reloads = threading.local()


def install() -> None:
    """Insert the finder before Python's own, once per process."""
    with _lock:
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())


def adopt_with(adopt: Callable[[Path, str], Scope]) -> None:
    """Set the function that creates the scope of a load of the parent process, from its root and its private name."""
    global _adopt
    _adopt = adopt


def add(scope: Scope) -> None:
    """Make the modules of ``scope`` importable, here and in processes spawned from here."""
    with _lock:
        _scopes[scope.package] = scope
        if not is_inherited(scope.package):
            publish_source(scope.package, _ROOT_FILE, os.fsencode(scope.path))


def remove(scope: Scope, replaced: str | None) -> None:
    """Remove ``scope`` and its modules, but remember when it was loaded and what replaced it."""
    loaded_at = time.strftime("%H:%M:%S", time.localtime(scope.loaded_at))
    with _lock:
        _scopes.pop(scope.package, None)
        _replaced[scope.package] = f"code of {loaded_at}; " + (f"a reload replaced {replaced}" if replaced else "it is no longer loaded")
        # Compared by identity, not by name: names of earlier loads may refer to the same modules.
        own = set(map(id, scope.modules().values()))
        for name in [name for name, module in list(sys.modules.items()) if id(module) in own]:
            del sys.modules[name]
            if name.rpartition(".")[0] == PREFIX:
                vars(sys.modules[PREFIX]).pop(_short(name), None)
        if _published is not None and _published[0] == os.getpid():
            shutil.rmtree(_published[1] / _short(scope.package), ignore_errors=True)


@contextmanager
def reloads_by_definition() -> Iterator[None]:
    """Allow ``importlib.reload`` of a definition's modules in the block: for calls by the definition itself."""
    _reloads.are_by_definition = True
    try:
        yield
    finally:
        _reloads.are_by_definition = False


def replaced_text(package: str) -> str:
    """Describe a released scope by the time of its load and what replaced it: ``code of 14:02:11; a reload replaced train_batch``."""
    return _replaced.get(package, "code of an earlier load")


def staleness(value: object) -> str | None:
    """Describe an object that was built from code of a definition that is no longer loaded; None for all other objects."""
    package = scope_of(value)
    return f"built from {_replaced[package]}" if package in _replaced else None


def scope_of(value: object) -> str | None:
    """Return the private package of an object's class, or of a class or function; None if it is not from a definition."""
    owner = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    module = getattr(owner, "__module__", None)
    if not isinstance(module, str) or not module.startswith(f"{PREFIX}."):
        return None
    return _package(module)


def publish_source(package: str, name: str, content: bytes) -> None:
    """Write a file for processes spawned from this one; an error of the disk is ignored, because the definition did not cause it."""
    with suppress(OSError):
        path = _publishing_directory() / _short(package) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def published_path(package: str, name: str) -> Path | None:
    """Return the path at which this process published the loaded source of a module; None if it did not."""
    path = _published[1] / _short(package) / name if _published is not None else None
    return path if path is not None and path.is_file() else None


def published_source(package: str, name: str) -> bytes | None:
    """Return the source that the parent process published; None in the process that loaded the definition itself."""
    if not is_inherited(package):
        return None
    try:
        return (Path(str(_inherited)) / _short(package) / name).read_bytes()
    except OSError:
        return None


def publish_usage(package: str, watch: UsageWatch) -> None:
    """Let processes that are spawned for this load report the files that they open."""
    publish_source(package, _USAGE_FILE, json.dumps(watch.environment()).encode())


class _Finder(MetaPathFinder):
    """Finds only modules below the private prefix."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{PREFIX}."):
            return None
        if target is not None and not getattr(_reloads, "are_by_definition", False):  # only importlib.reload() passes a target
            raise DefinitionError(
                f"The module {public_text(fullname)} belongs to a loaded definition, which only changes as a whole.",
                hint=f"{NextStep.RELOAD} imports all of its modules again, and continues with the same weights.",
            )
        package = _package(fullname)
        scope = _scopes.get(package) or _from_parent(package)
        if scope is not None:
            return scope.find_spec(fullname, path)
        newest = _newest_of_the_name(package)
        return ModuleSpec(fullname, _Alias(newest.package + fullname[len(package) :])) if newest is not None else None


class _Alias(Loader):
    """Loads the module of the newest load in place of a module that is no longer loaded."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 -- the loader protocol
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has replaced it with the spec of the alias


def _from_parent(package: str) -> Scope | None:
    """Return the scope that the parent process published, if any."""
    path = published_source(package, _ROOT_FILE)
    if path is None:
        return None
    from detjupyter.definition.opened_files import join_from_environment

    usage = published_source(package, _USAGE_FILE)
    if usage is not None:
        join_from_environment(json.loads(usage))
    with _lock:
        assert _adopt is not None  # every caller has imported the module that sets it
        return _scopes.get(package) or _adopt(Path(os.fsdecode(path)), package)


def _newest_of_the_name(package: str) -> Scope | None:
    name = package.rpartition("_")[0]
    alike = [scope for known, scope in list(_scopes.items()) if known.rpartition("_")[0] == name]
    return max(alike, key=lambda scope: scope.loaded_at, default=None)


def is_inherited(package: str) -> bool:
    """Return whether the parent process published the scope."""
    if _inherited is None or (_published is not None and str(_published[1]) == _inherited):
        return False
    return (Path(_inherited) / _short(package) / _ROOT_FILE).is_file()


def _publishing_directory() -> Path:
    """Return the temporary directory of this process, created on first use and removed when the process ends."""
    global _published
    with _lock:
        if _published is None:
            directory = Path(tempfile.mkdtemp(prefix="detjupyter-"))
            _published = os.getpid(), directory
            os.environ[VARIABLE] = str(directory)
            atexit.register(_remove_published)
        return _published[1]


def _remove_published() -> None:
    if _published is not None and _published[0] == os.getpid():  # a forked child must not remove its parent's directory
        shutil.rmtree(_published[1], ignore_errors=True)


def _package(fullname: str) -> str:
    """Return the private package that a private name begins with."""
    return ".".join(fullname.split(".", 3)[:3])


def _short(package: str) -> str:
    return package.rpartition(".")[2]
