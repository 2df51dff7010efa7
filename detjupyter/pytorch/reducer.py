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
        TrialError: ``reducer`` is a dict whose keys are not the metrics.
    """
    if isinstance(reducer, Mapping) and set(reducer) != set(stacked):
        raise TrialError(
            "evaluation_reducer() does not fit evaluate_batch().",
            exception=f"The reducers are for {sorted(reducer)}, the metrics are {sorted(stacked)}.",
            user_traceback="",
            hint="Name the same metrics in both.",
        )
    return {
        name: float(_REDUCTIONS[reducer[name] if isinstance(reducer, Mapping) else reducer](values)) for name, values in stacked.items()
    }
