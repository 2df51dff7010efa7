"""Constructing trials from their classes."""

from __future__ import annotations

import inspect
from typing import Any, cast

from detjupyter.definition.trial import Trial
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.mistakes import mistake
from detjupyter.pytorch.trial import PyTorchTrial

_HPARAMS = "hparams"


def construct(trial_class: type[Trial], context: PyTorchTrialContext, **given: Any) -> PyTorchTrial:
    """Return ``trial_class(context, **given)``.

    A class that was written for a script with a Trainer may want its hyperparameters as ``hparams``; it gets those of the context.

    Raises:
        TrialError: Its ``__init__`` needs other arguments, which nobody gives.
    """
    needed = [name for name in _needed(trial_class) if name not in given]
    if needed == [_HPARAMS]:
        given = {**given, _HPARAMS: context.get_hparams()}
    elif needed:
        what = ", ".join(needed)
        raise mistake(
            "A trial is built from its context alone",
            f"{trial_class.__name__}.__init__ needs {what}, too.",
            f"Give it a default, or build the trial in a cell: `with pytorch.init(hparams=…) as context: "
            f"Trainer({trial_class.__name__}(context, {needed[0]}=…), context).fit(…)`.",
        )
    return cast("type[PyTorchTrial]", trial_class)(context, **given)


def _needed(trial_class: type[Trial]) -> list[str]:
    """Return the arguments without a default that come after the context."""
    try:
        parameters = list(inspect.signature(trial_class).parameters.values())
    except (TypeError, ValueError):  # a signature that Python cannot tell
        return []
    return [one.name for one in parameters[1:] if one.default is one.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
