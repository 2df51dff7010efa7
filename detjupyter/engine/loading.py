"""Loads a trial from a load recipe: imports the definition and builds the trial, in the engine's thread."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.config.files import DEFAULT_NAME
from detjupyter.definition.entrypoint import Entrypoint
from detjupyter.definition.isolation.working_directory import threads_may_have_their_own
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.opened_files import watch_usage
from detjupyter.definition.resolution import LoadedClass
from detjupyter.definition.startup_hook import NAME as HOOK_NAME
from detjupyter.definition.startup_hook import run_hook
from detjupyter.definition.user_errors import user_frames
from detjupyter.engine.failure import describe
from detjupyter.engine.load_warnings import load_warnings, require_batch_size
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.output import LoadedOutput
from detjupyter.engine.settings import ProcessSettings
from detjupyter.errors import ArgumentError, ConfigError, DetJupyterError, TrialError
from detjupyter.framework.adapter import TrialAdapter, TrialOptions
from detjupyter.framework.framework import build_adapter
from detjupyter.next_step import NextStep
from detjupyter.protocol.recipe import LoadRecipe

MAX_SEED = 2**31 - 1


def load_trial(recipe: LoadRecipe, *, hook_output: Callable[[str], None] | None = None) -> LoadedTrial:
    """Import the definition and build its trial.

    Args:
        recipe: The load recipe.
        hook_output: Takes each line that ``startup-hook.sh`` prints. With None the hook does not run, as in a reload.

    Raises:
        DefinitionError: The definition or the entrypoint does not lead to a Trial class, or the startup hook failed.
        ConfigError: The YAML cannot be parsed.
        DeviceError: This machine has no such device.
        TrialError: The user's code raised an exception.
    """
    definition = ModelDefinition(recipe.path, any_size=recipe.any_size)
    # Twice: the config can contain the seed, and the values of ranges are sampled with it.
    seed, is_seed_drawn = _choose_seed(recipe, read_config(recipe.config, definition.root, recipe.hparams, 0))
    config = read_config(recipe.config, definition.root, recipe.hparams, seed)
    entrypoint, notes = _choose_entrypoint(recipe.entrypoint, definition, config)
    if recipe.startup_hook and hook_output is not None:
        notes = (*notes, *_run_startup_hook(definition, hook_output))
    usage, output, settings = watch_usage(definition.root), LoadedOutput(), ProcessSettings()
    try:
        with settings.active(foreground=f"the load of {definition.name}"), usage.active(), output.active():
            loaded_class = definition.load(entrypoint, usage)
            options = TrialOptions(loaded_class.trial_class, config, seed, recipe.device, recipe.compile)
            adapter = _build(definition, loaded_class, options)
    except BaseException:
        usage.close()
        output.release()
        raise
    chosen = replace(
        recipe,
        entrypoint=str(loaded_class.entrypoint),
        seed=seed,
        config=_found_config(recipe, config) or recipe.config,
        is_seed_drawn=is_seed_drawn,
    )
    return LoadedTrial(
        *(chosen, definition, loaded_class, config, adapter, usage, output, settings),
        notes=(*notes, *_config_notes(recipe, config), *_notes(loaded_class, options, adapter.device)),
        warnings=tuple(load_warnings(recipe, config, loaded_class)),
    )


def _choose_entrypoint(given: str | None, definition: ModelDefinition, config: Config) -> tuple[str | Entrypoint, tuple[str, ...]]:
    """Return the entrypoint, and a note about its source if the recipe does not name it."""
    if given is not None:
        return given, ()
    chosen = definition.choose_entrypoint(config.entrypoint)
    source = Path(config.path).name if config.path else "the config"
    is_named = config.entrypoint is not None and Entrypoint.parse(config.entrypoint).attributes == chosen.attributes
    return chosen, (f"Entrypoint {chosen}: {f'named by {source}' if is_named else 'the only Trial class here'}.",)


def _found_config(recipe: LoadRecipe, config: Config) -> str | None:
    """Return the config that was found without a name; a recipe names it, because there may be several YAML files at the next load."""
    is_found = recipe.config is None and config.path is not None and Path(config.path).name != DEFAULT_NAME
    return config.path if is_found else None


def _config_notes(recipe: LoadRecipe, config: Config) -> tuple[str, ...]:
    """Return a note about a config that the recipe does not name, if it is not the default one."""
    found = _found_config(recipe, config)
    return (f"Config {Path(found).name}: the only YAML file here with an entrypoint, hyperparameters or a searcher.",) if found else ()


def _run_startup_hook(definition: ModelDefinition, output: Callable[[str], None]) -> tuple[str, ...]:
    hook = definition.startup_hook
    if hook is None:
        return (f"There is no {HOOK_NAME} to run.",)
    result = run_hook(hook, output)
    exported = f", which set {', '.join(result.exported)}" if result.exported else ""
    return (f"{HOOK_NAME} was run{exported}.",)


def _notes(loaded: LoadedClass, options: TrialOptions, device: str) -> tuple[str, ...]:
    """Return notes about unexpected effects of a definition that loaded without errors."""
    hidden = loaded.scope.hidden_modules()
    notes = [f"The definition's own `{name}` hides the installed module of that name, inside this definition only." for name in hidden]
    if not threads_may_have_their_own() and loaded.scope.root != Path.cwd():
        notes.append("On this system only `open()` resolves relative paths against the definition's root during training.")
    wanted = options.config.settings.environment_for(device)
    differing = [name for name, value in wanted.items() if os.environ.get(name) != value]
    if differing:
        example = NextStep.SET_VARIABLE(differing[0], wanted[differing[0]])
        names = ", ".join(differing)
        notes.append(f"The config sets environment variables that differ in this kernel: {names}. To set one: {example}.")
    if options.compile:
        notes.append("The models are compiled at their first batch, which takes from seconds to minutes; the log says so if it fails.")
    return tuple(notes)


def _choose_seed(recipe: LoadRecipe, config: Config) -> tuple[int, bool]:
    """Return the seed, and whether it was drawn: now, or by the load that a reload repeats."""
    chosen = config.settings.experiment_seed if recipe.seed is None else recipe.seed
    if chosen is None:
        return secrets.randbelow(MAX_SEED), True
    if type(chosen) is not int or not 0 <= chosen <= MAX_SEED:
        error = ConfigError if recipe.seed is None else ArgumentError
        raise error(f"The seed must be an integer from 0 to {MAX_SEED}, got {chosen!r}.")
    return chosen, recipe.is_seed_drawn


def _build(definition: ModelDefinition, loaded: LoadedClass, options: TrialOptions) -> TrialAdapter:
    roots = [definition.root]
    failure: DetJupyterError
    try:
        require_batch_size(options.config, loaded)
        with loaded.scope.active():
            return build_adapter(options)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's constructor can raise anything
        if isinstance(error, DetJupyterError) and not isinstance(error, TrialError):
            failure = error
            frames = user_frames(error, roots)
            if failure.where is None and frames:
                failure.where = f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}"
        else:
            failure = describe(error, roots, f"building {loaded.trial_class.__name__}")
    loaded.scope.release()
    raise failure.with_traceback(None)  # the frames refer to the partly built trial, and a notebook keeps its last error
