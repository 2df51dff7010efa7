"""A session for a trial that the user built in a cell or a script, of a class that no entrypoint names."""

from __future__ import annotations

import inspect
import linecache
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from detjupyter.definition.config import Config
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.file_watch import watch_usage
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.resolution import LoadedClass
from detjupyter.errors import DefinitionTooLargeError, SessionError
from detjupyter.store import open_store
from detjupyter.training.adapter import TrialAdapter
from detjupyter.training.loaded import Loaded
from detjupyter.training.registry import registry
from detjupyter.training.session import Session

_owners: weakref.WeakKeyDictionary[Session, weakref.ref[object]] = weakref.WeakKeyDictionary()


def open_session(adapter: TrialAdapter, config: Config, seed: int, owner: object) -> Session:
    """Make the session of a trial that is built already, and the current one.

    Its code is the file that its class stands in, with the directory around it if the class's module imports others from there; of a
    class that was written in a notebook it is the cell. A cell that is run again does not leave its earlier trials behind: an idle
    session of the same class, whose ``owner`` is gone, is closed.

    Args:
        adapter: The trial.
        config: What it was built with.
        seed: Which order the data comes in.
        owner: What the user holds in hand, and trains with.
    """
    trial_class = type(adapter.trial)
    for session in registry.all():
        known = _owners.get(session)
        if known is not None and known() is None and type(session.trial).__name__ == trial_class.__name__ and not session.is_busy:
            session.close()
    source = _Source(trial_class)
    definition = source.definition()
    loaded_class = LoadedClass(trial_class, source.entrypoint(definition), source.path, source.line, DefinitionScope(definition.path))
    loaded = Loaded(definition, loaded_class, config, adapter, seed, watch_usage(definition.root), working_directory=Path.cwd())
    session = Session(loaded, session_id=registry.free_name(trial_class.__name__), open_store=open_store, reload=_no_reload)
    if source.is_cell:
        weakref.finalize(session, shutil.rmtree, definition.root, ignore_errors=True)
    _owners[session] = weakref.ref(owner)
    registry.add(session)
    return session


def _no_reload() -> Loaded:
    raise SessionError(
        "The trial of this session was built by your own code, so there is nothing to load again.",
        hint="Run the cell again; to go on with the weights, give `fit()` the checkpoint: `latest_checkpoint=…`.",
    )


class _Source:
    """Where a class was written."""

    def __init__(self, trial_class: type[Any]) -> None:
        self._class = trial_class
        code = _code_of(trial_class)
        self.line = 1 if code is None else code.co_firstlineno
        module = sys.modules.get(trial_class.__module__)
        name = getattr(module, "__file__", None)
        # The module of a notebook has no file; some front ends give it the notebook's own.
        self.is_cell = name is None or Path(name).suffix != ".py" or not Path(name).is_file() or _is_of_a_cell(code)
        if self.is_cell:
            lines = [] if code is None else linecache.getlines(code.co_filename)
            text = "".join(lines) or f"# The source of {trial_class.__qualname__} is not known.\n"
            self.path = Path(tempfile.mkdtemp(prefix="detjupyter-cell-")) / f"{trial_class.__name__}.py"
            self.path.write_text(text, encoding="utf-8")
        else:
            self.path = Path(str(name)).resolve()

    def definition(self) -> ModelDefinition:
        """Return what belongs to the class: its file, or the directory if there is more in it that is imported."""
        directory = self.path.parent
        if not self.is_cell and any(_is_own(module, directory, self.path) for module in list(sys.modules.values())):
            definition = ModelDefinition(directory)
            try:
                definition.require_size()
            except DefinitionTooLargeError:  # a home directory: nobody means all of it
                pass
            else:
                return definition
        return ModelDefinition(self.path)

    def entrypoint(self, definition: ModelDefinition) -> Entrypoint:
        """Return what names the class in ``definition``."""
        attributes = tuple(part for part in self._class.__qualname__.split(".") if part != "<locals>")
        return Entrypoint("" if definition.is_file else self.path.stem, attributes)


def _is_own(module: ModuleType, directory: Path, but: Path) -> bool:
    """Return whether a module is the user's own, from ``directory`` and other than the file ``but``."""
    name = getattr(module, "__file__", None)
    if not isinstance(name, str) or "site-packages" in name:
        return False
    path = Path(name)  # some modules that are made up have a mere name
    return path.is_absolute() and path != but and path.is_relative_to(directory) and "site-packages" not in directory.parts


def _code_of(trial_class: type[Any]) -> CodeType | None:
    """Return the code of the first function of a class, None if it has none in Python."""
    functions = [value for value in vars(trial_class).values() if inspect.isfunction(value)]
    return min((function.__code__ for function in functions), key=lambda code: code.co_firstlineno, default=None)


def _is_of_a_cell(code: CodeType | None) -> bool:
    return code is not None and code.co_filename in linecache.cache and not Path(code.co_filename).exists()
