"""From an entrypoint to a session."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.model_definition import LoadedClass, ModelDefinition
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
) -> Session:
    """Load a model definition's Trial class, build its trial, and return the session that trains it.

    Args:
        entrypoint: ``module:Class`` as Determined spells it; None for the config's, or the only Trial class there is.
        path: The model definition: a directory, or one .py file.
        config: A dict, the path of a YAML file, or None for the definition's own ``const.yaml`` if it has one.
        hparams: Hyperparameters that override the config's.
        seed: Seeds Python, numpy and the framework, and the sampling of hyperparameter ranges. By default the config's
            ``reproducibility.experiment_seed``, else a new one.
        device: ``cuda``, ``cuda:1``, ``mps`` or ``cpu``; by default the best there is.
        name: What to call the session; a session of that name is replaced if it is idle. By default a free name after the definition.

    Raises:
        DefinitionError: the definition or the entrypoint does not lead to a Trial class.
        ConfigError: the YAML does not parse.
        DeviceError: the device is not there.
        TrialError: the user's own code raised.
        SessionBusyError: the session ``name`` is training.
    """
    definition = ModelDefinition(path)
    session_id = registry.free_name(definition.name) if name is None else name
    registry.require_replaceable(session_id)
    first_config = read_config(config, definition.root, hparams, 0)
    chosen_seed = _choose_seed(seed, first_config)
    chosen = entrypoint if entrypoint is not None else definition.choose_entrypoint(first_config.entrypoint)

    def build() -> Loaded:
        fresh = ModelDefinition(definition.path)
        read = read_config(config, fresh.root, hparams, chosen_seed)
        loaded_class = fresh.load(chosen)
        adapter = _build_adapter(fresh, loaded_class, TrialOptions(loaded_class.trial_class, read, chosen_seed, device))
        return Loaded(fresh, loaded_class, read, adapter, chosen_seed)

    session = Session(build(), session_id=session_id, open_store=open_store, reload=build)
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


def _choose_seed(seed: int | None, config: Config) -> int:
    if seed is None:
        reproducibility = config.raw.get("reproducibility")
        seed = reproducibility.get("experiment_seed") if isinstance(reproducibility, Mapping) else None
    if seed is None:
        return secrets.randbelow(MAX_SEED)
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"A seed is a whole number from 0 to {MAX_SEED}, not {seed!r}.")
    return seed


def _build_adapter(definition: ModelDefinition, loaded: LoadedClass, options: TrialOptions) -> TrialAdapter:
    roots = [definition.root]
    failure: DetJupyterError
    try:
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
