"""From an entrypoint to a session."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.file_watch import watch_usage
from detjupyter.definition.isolation.working_directory import threads_may_have_their_own
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.resolution import LoadedClass
from detjupyter.definition.startup_hook import NAME as HOOK_NAME
from detjupyter.definition.startup_hook import run_hook
from detjupyter.definition.user_errors import user_frames
from detjupyter.errors import ConfigError, DetJupyterError, TrialError
from detjupyter.store import open_store
from detjupyter.training.adapter import TrialAdapter, TrialOptions, build_adapter
from detjupyter.training.failure import describe
from detjupyter.training.loaded import Loaded
from detjupyter.training.registry import registry
from detjupyter.training.session import Session

MAX_SEED = 2**31 - 1


def load(
    entrypoint: str | None = None,
    path: str | Path = ".",
    config: Mapping[str, Any] | str | Path | None = None,
    hparams: Mapping[str, Any] | None = None,
    seed: int | None = None,
    device: str | None = None,
    *,
    name: str | None = None,
    compile: bool = False,  # noqa: A002 -- what torch calls it
    startup_hook: bool | Callable[[str], None] = False,
    any_size: bool = False,
) -> Session:
    """Load a model definition's Trial class, build its trial, and return the session that trains it.

    Relative paths that the definition opens start at its root. The caller's working directory is that root while the definition is
    imported and its trial built, and what it was before afterwards; see :mod:`detjupyter.definition.isolation.working_directory`.

    Args:
        entrypoint: ``module:Class`` as Determined spells it; None for the config's, or the only Trial class there is.
        path: The model definition: a directory, one .py file, or an archive that ``ModelDefinition.archive`` made.
        config: A dict, the path of a YAML file, or None for the definition's own ``const.yaml`` if it has one.
        hparams: Hyperparameters that override the config's.
        seed: Seeds Python, numpy and the framework, and the sampling of hyperparameter ranges. By default the config's
            ``reproducibility.experiment_seed``, else a new one.
        device: ``cuda``, ``cuda:1``, ``mps`` or ``cpu``; by default the best there is.
        name: What to call the session; a session of that name is replaced if it is idle. By default a free name after the definition.
        compile: Whether to compile the models with ``torch.compile``; where that fails the log says so and they run as they are.
        startup_hook: Whether to run the definition's ``startup-hook.sh`` first; a function is called with each line that it prints.
        any_size: Whether a directory of more than 200,000 paths is meant.

    Raises:
        DefinitionError: the definition or the entrypoint does not lead to a Trial class, or the startup hook failed.
        ConfigError: the YAML does not parse.
        DeviceError: the device is not there.
        TrialError: the user's own code raised.
        SessionBusyError: the session ``name`` is training.
    """
    definition = ModelDefinition(path, any_size=any_size)
    definition.require_size()  # before anything of it is run
    session_id = registry.free_name(definition.name) if name is None else name
    registry.require_replaceable(session_id)
    first_config = read_config(config, definition.root, hparams, 0)
    chosen_seed = _choose_seed(seed, first_config)
    chosen, notes = _choose_entrypoint(entrypoint, definition, first_config)
    hook_notes = _run_startup_hook(definition, startup_hook) if startup_hook else ()

    def build() -> Loaded:
        fresh = ModelDefinition(definition.path, any_size=any_size)
        read = read_config(config, fresh.root, hparams, chosen_seed)
        usage = watch_usage(fresh.root)
        try:
            with usage.active():
                loaded_class = fresh.load(chosen, usage)
                options = TrialOptions(loaded_class.trial_class, read, chosen_seed, device, compile)
                adapter = _build_adapter(fresh, loaded_class, options)
        except BaseException:
            usage.close()
            raise
        said = (*notes, *hook_notes, *read.warnings, *_notes(loaded_class, options, adapter.device))
        return Loaded(fresh, loaded_class, read, adapter, chosen_seed, usage, said)

    session = Session(build(), session_id=session_id, open_store=open_store, reload=build)
    session.card()  # the files as they are now: they belong to the code that was loaded
    replaced = registry.add(session)
    if replaced is not None:  # held after a step, it would keep its thread and its loaders
        replaced.close()
    return session


def sessions() -> list[Session]:
    """Return the sessions of this process, the current one last."""
    return registry.all()


def current_session() -> Session:
    """Return the session that was loaded last.

    Raises:
        NoSessionError: nothing is loaded.
    """
    return registry.get(None)


def _choose_entrypoint(given: str | None, definition: ModelDefinition, config: Config) -> tuple[str | Entrypoint, tuple[str, ...]]:
    """Return the entrypoint, and a sentence about where it came from if nobody gave it."""
    if given is not None:
        return given, ()
    chosen = definition.choose_entrypoint(config.entrypoint)
    source = Path(config.path).name if config.path else "the config"
    return chosen, (f"Entrypoint {chosen}: {f'named by {source}' if config.entrypoint else 'the only Trial class here'}.",)


def _run_startup_hook(definition: ModelDefinition, wanted: bool | Callable[[str], None]) -> tuple[str, ...]:
    hook = definition.startup_hook
    if hook is None:
        return (f"There is no {HOOK_NAME} to run.",)
    result = run_hook(hook, wanted if callable(wanted) else None)
    exported = f", which set {', '.join(result.exported)}" if result.exported else ""
    return (f"{HOOK_NAME} was run{exported}.",)


def _notes(loaded: LoadedClass, options: TrialOptions, device: str) -> tuple[str, ...]:
    """Say what may surprise in a definition that loaded well."""
    hidden = loaded.scope.hidden_modules()
    notes = [f"The definition's own `{name}` hides the installed module of that name, inside this definition only." for name in hidden]
    if not threads_may_have_their_own() and loaded.scope.root != Path.cwd():
        notes.append("While it trains, only `open()` takes relative paths from the definition's root: threads share a directory here.")
    wanted = options.config.settings.environment_for(device)
    differing = [name for name, value in wanted.items() if os.environ.get(name) != value]
    if differing:
        example = f"`%env {differing[0]}={wanted[differing[0]]}`"
        notes.append(
            f"The config sets environment variables, which stand otherwise in this kernel: {', '.join(differing)}. To set one: {example}."
        )
    if options.compile:
        notes.append("The models are compiled at their first batch, which takes from seconds to minutes; the log says so if it fails.")
    return tuple(notes)


def _choose_seed(seed: int | None, config: Config) -> int:
    if seed is None:
        seed = config.settings.experiment_seed
    if seed is None:
        return secrets.randbelow(MAX_SEED)
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"A seed is a whole number from 0 to {MAX_SEED}, not {seed!r}.")
    return seed


def _build_adapter(definition: ModelDefinition, loaded: LoadedClass, options: TrialOptions) -> TrialAdapter:
    roots = [definition.root]
    failure: DetJupyterError
    try:
        with loaded.scope.at_work():
            return build_adapter(options)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's constructor may raise anything
        if isinstance(error, DetJupyterError) and not isinstance(error, TrialError):
            failure = error
            frames = user_frames(error, roots)
            if failure.where is None and frames:
                failure.where = f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}"
        else:
            failure = describe(error, roots, f"building {loaded.trial_class.__name__}")
    loaded.scope.release()
    raise failure.with_traceback(None)
