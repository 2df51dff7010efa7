"""How the metrics of a validation's batches become one number each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np

from detjupyter.errors import TrialError


class Reducer(Enum):
    """How the values of all batches are reduced; a plain average does not weigh batches by their size."""

    AVG = 1
    SUM = 2
    MAX = 3
    MIN = 4


_REDUCTIONS: dict[Reducer, Callable[[Any], Any]] = {Reducer.AVG: np.mean, Reducer.SUM: np.sum, Reducer.MAX: np.max, Reducer.MIN: np.min}


def reduce_metrics(stacked: Mapping[str, np.ndarray[Any, Any]], reducer: Reducer | Mapping[str, Reducer]) -> dict[str, float]:
    """Reduce each metric's values, (batches, …), to a single number.

    Raises:
        TrialError: ``reducer`` is a dict whose keys are not the metrics, or holds something that is no :class:`Reducer`.
    """
    if isinstance(reducer, Mapping) and set(reducer) != set(stacked):
        raise TrialError(
            "evaluation_reducer() does not fit evaluate_batch().",
            exception=f"The reducers are for {sorted(reducer)}, the metrics are {sorted(stacked)}.",
            user_traceback="",
            hint="Name the same metrics in both.",
        )
    reducers = {name: reducer[name] if isinstance(reducer, Mapping) else reducer for name in stacked}
    for name, one in reducers.items():
        if not isinstance(one, Reducer):
            raise TrialError(
                f"evaluation_reducer() gives {one!r} for {name!r}, which is no Reducer.",
                exception="",
                user_traceback="",
                hint=f"Use one of {', '.join(f'Reducer.{member.name}' for member in Reducer)}.",
            )
    return {name: float(_REDUCTIONS[reducers[name]](values)) for name, values in stacked.items()}
