"""Load a session from an entrypoint."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detjupyter.definition.entrypoint import file_as_path
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.engine import ambient
from detjupyter.engine.local import HOOK_STREAM, open_engine
from detjupyter.errors import ArgumentError, CheckpointError
from detjupyter.next_step import NextStep
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.session.registry import registry
from detjupyter.session.repeating import Beginning, beginning_of
from detjupyter.session.session import Session
from detjupyter.session.waiting import echo_to_streams
from detjupyter.store import open_store
from detjupyter.store.history import Run, run
from detjupyter.text import printable

_log = logging.getLogger("detjupyter")


@dataclass(frozen=True, slots=True)
class Start:
    """What a session is loaded from: the first arguments of :func:`load`.

    Attributes:
        checkpoint: The id of a run, ``latest`` or ``best``; after :meth:`as_in_run` what :meth:`Session.restore` takes. None for none.
    """

    entrypoint: str | None
    path: str | Path
    config: Mapping[str, Any] | str | Path | None
    hparams: dict[str, Any]
    seed: int | None
    checkpoint: CheckpointRecord | str | None = None

    def as_in_run(self) -> Start:
        """Return the start with what is not given as in the run, and with the run's latest checkpoint.

        Raises:
            RunNotFoundError: There is no such run.
            CheckpointError: It has no checkpoint, or it is the run of a script.
        """
        if not isinstance(self.checkpoint, str) or self.checkpoint in ("latest", "best"):
            return self
        found = run(self.checkpoint)
        recipe, checkpoints = found.recipe, found.checkpoints()
        if recipe is None:
            raise CheckpointError(f"The run {found.id} is that of a script.", hint="Run the script again, from the checkpoint.")
        if not checkpoints:
            raise CheckpointError(f"The run {found.id} has no checkpoint.", hint=f"{NextStep.RUNS} lists the runs.")
        is_as_there = self.entrypoint is None and str(self.path) == "." and Path(recipe.path).exists()
        return Start(
            recipe.entrypoint if is_as_there else self.entrypoint,
            recipe.path if is_as_there else self.path,
            recipe.config if self.config is None else self.config,
            {**recipe.hparams, **self.hparams},
            recipe.seed if self.seed is None else self.seed,
            checkpoints[-1],
        )


def load(
    entrypoint: str | None = None,
    path: str | Path = ".",
    config: Mapping[str, Any] | str | Path | None = None,
    hparams: Mapping[str, Any] | None = None,
    seed: int | None = None,
    device: str | None = None,
    *,
    name: str | None = None,
    compile: bool = False,  # noqa: A002 -- torch's name for it
    startup_hook: bool | Callable[[str], None] = False,
    any_size: bool = False,
    warn: Callable[[str], None] = _log.warning,
    from_run: str | None = None,
    trust: bool = False,
    repeat: Run | str | None = None,
) -> Session:
    """Load a model definition's Trial class, build its trial, and return the session that trains it.

    The definition is imported and its trial is built in a separate thread, which later trains it. Relative paths that it opens start at
    its root; the caller's working directory does not change. Its output appears in the cell that loads it.

    Args:
        entrypoint: ``module:Class`` as in Determined; None for the config's, or the only Trial class of the definition. A .py file is
            taken as ``path``.
        path: The model definition: a directory, one .py file, or an archive written by ``ModelDefinition.archive``.
        config: A dict, the path of a YAML file, or None for the definition's own: its ``const.yaml``, else its only YAML file with
            hyperparameters, an entrypoint or a searcher.
        hparams: Hyperparameters that override the config's.
        seed: Seeds Python, numpy and the framework, and the sampling of hyperparameter ranges. By default the config's
            ``reproducibility.experiment_seed``, else a new one.
        device: ``cuda``, ``cuda:1``, ``mps`` or ``cpu``; by default the best available device.
        name: The name of the session; an idle session of that name is replaced. By default a free name derived from the definition; such
            a session is closed once it is idle, a later one of the same definition is loaded, and no variable refers to it.
        compile: Whether to compile the models with ``torch.compile``; if that fails, the log says so and they run uncompiled.
        startup_hook: Whether to run the definition's ``startup-hook.sh`` first; a function is called with each line of its output.
        any_size: Whether to accept a directory of more than 200,000 paths.
        warn: Called with each warning: keys of the config and hyperparameters that are probably misspelled, for example. They are also on
            the card. By default they are logged.
        from_run: Continue an earlier run: its id, or ``latest`` or ``best`` for a checkpoint of the earlier runs of this definition. Its
            latest checkpoint is restored. With an id, what is not given is as in the run: definition, entrypoint, config, hyperparameters
            and seed.
        trust: For ``from_run``, as for :meth:`Session.restore`.
        repeat: Begin a run again: the run, or its id. Everything is as when it was loaded first: definition, entrypoint, config,
            hyperparameters, seed, device. If the definition has other files now, the recorded code is loaded, and ``warn`` gets a sentence
            about that. Trained for the same lengths, the session has the same metrics. Only ``name`` and ``warn`` can be given, too.

    Raises:
        DefinitionError: The definition or the entrypoint does not lead to a Trial class, or the startup hook failed.
        ConfigError: The YAML cannot be parsed.
        ArgumentError: ``seed`` is not an integer from 0 to 2**31 - 1, or an argument contradicts ``repeat``.
        DeviceError: The device does not exist.
        TrialError: The user's own code raised an exception.
        SessionBusyError: The session ``name`` is training.
        RunNotFoundError: There is no run ``from_run`` or ``repeat``.
        CheckpointError: The run has no checkpoint, or it cannot be restored; the session is loaded nevertheless.
    """
    if isinstance(entrypoint, LoadRecipe):
        raise ArgumentError("A recipe is loaded by way of its run.", hint="`dj.load(repeat=run)` begins the run again.")
    if repeat is not None:
        recorded = {"entrypoint": entrypoint, "config": config, "hparams": hparams, "seed": seed, "device": device, "from_run": from_run}
        given = [name for name, value in recorded.items() if value is not None]
        given += [] if path == "." else ["path"]
        given += [name for name, value in (("compile", compile), ("startup_hook", startup_hook), ("any_size", any_size)) if value]
        if given:
            raise ArgumentError(
                f"A run is repeated with its recorded values, so these cannot be given: {', '.join(given)}.",
                hint="Leave them out to repeat the run, or load without `repeat` to train with other values.",
            )
        return _repeat(beginning_of(repeat), name, warn)
    start = Start(entrypoint, path, config, dict(hparams or {}), seed, from_run).as_in_run()
    entrypoint, path, config = start.entrypoint, start.path, start.config
    entrypoint, path = file_as_path(entrypoint, path)
    recipe = LoadRecipe(
        entrypoint=entrypoint,
        path=str(ModelDefinition(path, any_size=any_size).path),
        config=_config_of(config),
        hparams=start.hparams,
        seed=start.seed,
        device=device,
        compile=compile,
        startup_hook=bool(startup_hook),
        any_size=any_size,
        settings=dict(ambient.capture()),
    )
    session = _open(recipe, name, startup_hook if callable(startup_hook) else None, warn)
    if start.checkpoint is not None:
        session.restore(start.checkpoint, trust=trust)
    return session


def _repeat(beginning: Beginning, name: str | None, warn: Callable[[str], None]) -> Session:
    """Load a run again; the recorded code is deleted with the session."""
    try:
        session = _open(beginning.recipe, name, None, warn)
    except BaseException:
        beginning.delete()
        raise
    weakref.finalize(session, beginning.delete)
    for notice in beginning.notices:
        warn(printable(notice))
    return session


def _open(recipe: LoadRecipe, name: str | None, hook: Callable[[str], None] | None, warn: Callable[[str], None]) -> Session:
    """Open a session that loads ``recipe``, wait for the load, and make it the current one; see :func:`load` for the rest."""
    definition = ModelDefinition(recipe.path, any_size=recipe.any_size)
    definition.require_size()  # before any of its code runs
    session_id = registry.free_name(definition.name) if name is None else name
    registry.require_replaceable(session_id)
    session = Session(
        definition,
        lambda publish: open_engine(recipe, definition.root, publish, name=session_id),
        session_id=session_id,
        open_store=open_store,
        entrypoint=recipe.entrypoint or "",
    )
    session.wait_until_loaded(lambda stream, text: _echo(stream, text, hook))
    card = session.card()  # scan the files now: they belong to the loaded code
    replaced = registry.add(session, is_named=name is not None)
    if replaced is not None:  # otherwise it would keep its trial and its loaders
        replaced.close()
    for warning in card.warnings:
        warn(printable(warning))
    return session


def sessions() -> list[Session]:
    """Return the sessions of this process, the current one last."""
    return registry.all()


def current_session() -> Session:
    """Return the session that was loaded last.

    Raises:
        NoSessionError: No session is loaded.
    """
    return registry.get(None)


def _config_of(config: Mapping[str, Any] | str | Path | None) -> dict[str, Any] | str | None:
    """Return a config in the form of a recipe; the path of a file becomes absolute, since the engine has its own working directory."""
    if config is None:
        return None
    if isinstance(config, Mapping):
        return dict(config)
    path = Path(config).expanduser()
    return str(path.absolute()) if path.exists() else str(path)


def _echo(stream: str, text: str, hook: Callable[[str], None] | None) -> None:
    """Show the output of the definition and of its startup hook in the loading cell."""
    if stream == HOOK_STREAM:
        if hook is not None:
            hook(text.rstrip("\n"))
    else:
        echo_to_streams(stream, text)
