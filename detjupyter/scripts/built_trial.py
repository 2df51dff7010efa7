"""Opens a session for a trial that the user has built in a cell or a script, without an entrypoint."""

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
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.opened_files import watch_usage
from detjupyter.definition.resolution import LoadedClass
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.local import LocalEngine
from detjupyter.engine.settings import ProcessSettings
from detjupyter.errors import DefinitionTooLargeError
from detjupyter.framework.adapter import TrialAdapter
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.session.registry import registry
from detjupyter.session.session import Session
from detjupyter.store import open_store

# Weak references only, so that this table keeps neither a session nor an owner alive.
_owners: weakref.WeakKeyDictionary[Session, weakref.ref[object]] = weakref.WeakKeyDictionary()


def open_session(adapter: TrialAdapter, config: Config, seed: int, owner: object) -> Session:
    """Open a session for a trial that is built already, and make it the current one.

    The definition of the session is the file that contains the trial's class, or that file's directory if other modules from there are
    imported. For a class that was defined in a notebook, it is the source text of the cell. Running a cell again does not accumulate
    sessions: an idle session of a class with the same name is closed if its ``owner`` no longer exists.

    Args:
        adapter: The trial.
        config: The configuration that the trial was built with.
        seed: The seed for the order of the data.
        owner: The user's object that controls the training, such as a ``Trainer``.
    """
    trial_class = type(adapter.trial)
    for session in registry.all():
        known = _owners.get(session)
        if known is not None and known() is None and session.card().class_name == trial_class.__name__ and not session.is_busy:
            session.close()
    source = _Source(trial_class)
    definition = source.definition()
    loaded_class = LoadedClass(trial_class, source.entrypoint(definition), source.path, source.line, DefinitionScope(definition.path))
    recipe = LoadRecipe(str(loaded_class.entrypoint), str(definition.path), config.raw, config.hyperparameters, seed, adapter.device)
    loaded = LoadedTrial(
        *(recipe, definition, loaded_class, config, adapter, watch_usage(definition.root)),
        settings=ProcessSettings.of_this_thread(),  # a script that has set something before it builds the trial
        working_directory=Path.cwd(),
        can_reload=False,
    )
    name = registry.free_name(trial_class.__name__)
    session = Session(
        definition,
        lambda publish: LocalEngine(name, loaded.roots[0], publish, lambda: loaded),
        session_id=name,
        open_store=open_store,
        entrypoint=str(loaded_class.entrypoint),
    )
    session.wait_until_loaded()
    if source.is_cell:
        weakref.finalize(session, shutil.rmtree, definition.root, ignore_errors=True)
    _owners[session] = weakref.ref(owner)
    registry.add(session)
    return session


class _Source:
    """The source of a class: a file, or a cell whose text is written to a temporary file."""

    def __init__(self, trial_class: type[Any]) -> None:
        self._class = trial_class
        code = _code_of(trial_class)
        self.line = 1 if code is None else code.co_firstlineno
        module = sys.modules.get(trial_class.__module__)
        name = getattr(module, "__file__", None)
        # The module of a notebook has no file, but some front ends set `__file__` to the path of the notebook.
        self.is_cell = name is None or Path(name).suffix != ".py" or not Path(name).is_file() or _is_of_a_cell(code)
        if self.is_cell:
            lines = [] if code is None else linecache.getlines(code.co_filename)
            text = "".join(lines) or f"# The source of {trial_class.__qualname__} is not known.\n"
            self.path = Path(tempfile.mkdtemp(prefix="detjupyter-cell-")) / f"{trial_class.__name__}.py"
            self.path.write_text(text, encoding="utf-8")
        else:
            self.path = Path(str(name)).resolve()

    def definition(self) -> ModelDefinition:
        """Return the definition of the class: its file, or the directory of the file if other modules from there are imported."""
        directory = self.path.parent
        if not self.is_cell and any(_is_own(module, directory, self.path) for module in list(sys.modules.values())):
            definition = ModelDefinition(directory)
            try:
                definition.require_size()
            except DefinitionTooLargeError:  # for example a home directory, which is not a definition
                pass
            else:
                return definition
        return ModelDefinition(self.path)

    def entrypoint(self, definition: ModelDefinition) -> Entrypoint:
        """Return the entrypoint of the class in ``definition``."""
        attributes = tuple(part for part in self._class.__qualname__.split(".") if part != "<locals>")
        return Entrypoint("" if definition.is_file else self.path.stem, attributes)


def _is_own(module: ModuleType, directory: Path, excluded: Path) -> bool:
    """Return whether a module's file is the user's own code in ``directory``, and not the file ``excluded``."""
    name = getattr(module, "__file__", None)
    if not isinstance(name, str) or "site-packages" in name:
        return False
    path = Path(name)  # generated modules can have a `__file__` that is not an absolute path
    return path.is_absolute() and path != excluded and path.is_relative_to(directory) and "site-packages" not in directory.parts


def _code_of(trial_class: type[Any]) -> CodeType | None:
    """Return the code object of the first function that a class defines in Python, None if it defines none."""
    functions = [value for value in vars(trial_class).values() if inspect.isfunction(value)]
    return min((function.__code__ for function in functions), key=lambda code: code.co_firstlineno, default=None)


def _is_of_a_cell(code: CodeType | None) -> bool:
    return code is not None and code.co_filename in linecache.cache and not Path(code.co_filename).exists()
