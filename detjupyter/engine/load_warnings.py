"""What the user should probably correct in the config and the overrides of a load."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detjupyter.definition.config import Config
from detjupyter.definition.config.files import DEFAULT_NAME
from detjupyter.definition.resolution import LoadedClass
from detjupyter.definition.suggestions import listing
from detjupyter.definition.unread_overrides import unread_overrides
from detjupyter.framework.context import read_batch_size
from detjupyter.framework.framework import find_framework
from detjupyter.next_step import NextStep
from detjupyter.protocol.recipe import LoadRecipe

_ASKS_FOR_BATCH_SIZE = re.compile(rb"\bget_(global|per_slot)_batch_size\(")


def load_warnings(recipe: LoadRecipe, config: Config, loaded: LoadedClass) -> Iterator[str]:
    """Yield the warnings of a load, one sentence each, the most important first."""
    yield from _config_warnings(recipe, config)
    yield from config.warnings
    yield from _override_warnings(recipe, config, loaded)
    yield from _batch_size_warnings(config, loaded)


def require_batch_size(config: Config, loaded: LoadedClass) -> None:
    """Refuse an impossible ``global_batch_size`` that the code asks for: otherwise only the training would find it, when it needs the data.

    Raises:
        HyperparameterError: It is not a positive integer.
    """
    if config.hyperparameters.get("global_batch_size") is not None and _asks_for_batch_size(loaded):
        origin = config.origins.get("global_batch_size", "config")
        read_batch_size(config.hyperparameters, f"The value comes from {origin}: set a positive integer there.")


def _config_warnings(recipe: LoadRecipe, config: Config) -> tuple[str, ...]:
    """Return a sentence about the files that may be the config, if none was read."""
    if recipe.config is not None or not config.unread or config.problem:  # the config's own warnings contain the problem
        return ()
    choices = listing([NextStep.CONFIG(name) for name in config.unread])
    return (f"No config was read: there is no {DEFAULT_NAME}. To read one: {choices}.",)


def _override_warnings(recipe: LoadRecipe, config: Config, loaded: LoadedClass) -> Iterator[str]:
    """Yield a sentence for each override that the code does not read, except those that the config's warnings name."""
    known = find_framework(loaded.trial_class.framework).hyperparameters
    names = [name for name in map(str, recipe.hparams) if name not in known]
    named = {name for name in names if any(f"`{name}`" in warning for warning in config.warnings)}
    yield from unread_overrides([name for name in names if name not in named], loaded.scope.sources())


def _batch_size_warnings(config: Config, loaded: LoadedClass) -> Iterator[str]:
    """Yield a sentence if the code asks for the batch size and it is not set: the code may do so in a branch that never runs."""
    if config.hyperparameters.get("global_batch_size") is None and _asks_for_batch_size(loaded):
        how = NextStep.HYPERPARAMETER("global_batch_size", 32)
        yield f"The code asks for the batch size, but `global_batch_size` is not set: set it in the config, or load with {how}."


def _asks_for_batch_size(loaded: LoadedClass) -> bool:
    return any(_ASKS_FOR_BATCH_SIZE.search(text) for text in loaded.scope.sources().values())
