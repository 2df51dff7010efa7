"""Calls the constructor of a Trial class."""

from __future__ import annotations

import inspect
from typing import Any, cast

from detjupyter.definition.trial import Trial
from detjupyter.errors import TrialUsageError
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.trial import PyTorchTrial

_HPARAMS = "hparams"


def construct(trial_class: type[Trial], context: PyTorchTrialContext, **given: Any) -> PyTorchTrial:
    """Return ``trial_class(context, **given)``.

    A class that was written for a script with a Trainer can have a parameter ``hparams``; it receives the context's hyperparameters.

    Raises:
        TrialUsageError: The constructor has other required parameters that ``given`` lacks.
    """
    needed = [name for name in _required(trial_class) if name not in given]
    if needed == [_HPARAMS]:
        given = {**given, _HPARAMS: context.get_hparams()}
    elif needed:
        what = ", ".join(needed)
        raise TrialUsageError(
            "The constructor of a trial must require only the context.",
            f"{trial_class.__name__}.__init__ also requires {what}.",
            f"Give it a default, or build the trial in a cell: `with pytorch.init(hparams=…) as context: "
            f"Trainer({trial_class.__name__}(context, {needed[0]}=…), context).fit(…)`.",
        )
    return cast("type[PyTorchTrial]", trial_class)(context, **given)


def _required(trial_class: type[Trial]) -> list[str]:
    """Return the names of the parameters after the context that have no default."""
    try:
        parameters = list(inspect.signature(trial_class).parameters.values())
    except (TypeError, ValueError):  # Python cannot determine the signature
        return []
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [parameter.name for parameter in parameters[1:] if parameter.default is parameter.empty and parameter.kind in kinds]
