"""Runs as the list of the panel needs them: without what only an opened run shows, which can be large."""

from __future__ import annotations

from dataclasses import replace

from detjupyter.protocol.records import RunRecord

#: Hyperparameters up to this length as text are part of the list, so that an opened run shows them at once.
MAX_HYPERPARAMETERS = 4_000


def brief(run: RunRecord) -> RunRecord:
    """Return ``run`` without its config, its versions and large hyperparameters: ``runs/<run id>`` has the complete record."""
    recipe = run.recipe
    if recipe is not None:
        recipe = replace(recipe, config=recipe.config if isinstance(recipe.config, str) else None, hparams={}, settings={})
    is_small = len(repr(run.hyperparameters)) <= MAX_HYPERPARAMETERS
    return replace(run, config={}, versions={}, recipe=recipe, hyperparameters=run.hyperparameters if is_small else {})
