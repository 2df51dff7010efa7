"""A session for a trial that the user built in a cell or a script, of a class that no entrypoint names."""

from __future__ import annotations

import inspect
import linecache
import sys
import tempfile
from pathlib import Path
from typing import Any

from detjupyter.definition.config import Config
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.file_watch import watch_usage
from detjupyter.definition.isolation.imports import DefinitionScope
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.resolution import LoadedClass
from detjupyter.errors import SessionError
from detjupyter.store import open_store
from detjupyter.training.adapter import TrialAdapter
from detjupyter.training.loaded import Loaded
from detjupyter.training.registry import registry
from detjupyter.training.session import Session


def open_session(adapter: TrialAdapter, config: Config, seed: int) -> Session:
    """Make the session of a trial that is built already, and the current one.

    Its code is the file that its class stands in; of a class that was written in a notebook, the cell.

    Args:
        adapter: The trial.
        config: What it was built with.
        seed: Which order the data comes in.
    """
    trial_class = type(adapter.trial)
    path, line = _source(trial_class)
    definition = ModelDefinition(path)
    entrypoint = Entrypoint("", tuple(trial_class.__qualname__.replace("<locals>.", "").split(".")))
    loaded_class = LoadedClass(trial_class, entrypoint, path, line, DefinitionScope(path))
    loaded = Loaded(definition, loaded_class, config, adapter, seed, watch_usage(definition.root), working_directory=Path.cwd())
    session = Session(loaded, session_id=registry.free_name(trial_class.__name__), open_store=open_store, reload=_no_reload)
    registry.add(session)
    return session


def _no_reload() -> Loaded:
    raise SessionError(
        "The trial of this session was built by your own code, so there is nothing to load again.",
        hint="Run the cell again; to go on with the weights, give `fit()` the checkpoint: `latest_checkpoint=…`.",
    )


def _source(trial_class: type[Any]) -> tuple[Path, int]:
    """Return the file that a class stands in, and its line; a cell's text is put into a file of its own."""
    module = sys.modules.get(trial_class.__module__)
    name = getattr(module, "__file__", None)
    code = _code_of(trial_class)
    line = 1 if code is None else code.co_firstlineno
    if name is not None and Path(name).suffix == ".py" and Path(name).is_file():
        return Path(name).resolve(), line
    lines = linecache.getlines(code.co_filename) if code is not None else []
    directory = Path(tempfile.mkdtemp(prefix="detjupyter-cell-"))
    path = directory / f"{trial_class.__name__}.py"
    path.write_text("".join(lines) or f"# The source of {trial_class.__qualname__} is not known.\n", encoding="utf-8")
    return path, line


def _code_of(trial_class: type[Any]) -> Any:
    """Return the code of the first function of a class, None if it has none in Python."""
    functions = [value for value in vars(trial_class).values() if inspect.isfunction(value)]
    return min((function.__code__ for function in functions), key=lambda code: code.co_firstlineno, default=None)
