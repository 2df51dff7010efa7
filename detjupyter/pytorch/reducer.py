"""How the metrics of a validation's batches become one number each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np

from detjupyter.pytorch.mistakes import mistake

logger = logging.getLogger("detjupyter")


class Reducer(Enum):
    """How the values of all batches are reduced; a plain average does not weigh batches by their size."""

    AVG = 1
    SUM = 2
    MAX = 3
    MIN = 4


_REDUCTIONS: dict[Reducer, Callable[[Any], Any]] = {Reducer.AVG: np.mean, Reducer.SUM: np.sum, Reducer.MAX: np.max, Reducer.MIN: np.min}


def reduce_metrics(stacked: Mapping[str, np.ndarray[Any, Any]], reducer: Reducer | Mapping[str, Reducer]) -> dict[str, float]:
    """Reduce each metric's values, (batches, …) of float64, to a single number of numpy's, which is a float, too.

    NaN stays NaN.

    Raises:
        TrialError: ``reducer`` is a dict whose keys are not the metrics, or holds something that is no :class:`Reducer`.
    """
    if isinstance(reducer, Mapping) and set(reducer) != set(stacked):
        raise mistake(
            "evaluation_reducer() does not fit evaluate_batch()",
            f"The reducers are for {sorted(map(str, reducer))}, the metrics are {sorted(map(str, stacked))}.",
            "Name the same metrics in both.",
        )
    reducers = {name: reducer[name] if isinstance(reducer, Mapping) else reducer for name in stacked}
    for name, one in reducers.items():
        if not isinstance(one, Reducer):
            raise mistake(
                f"evaluation_reducer() gives {one!r} for {name!r}, which is no Reducer",
                "",
                f"Use one of {', '.join(f'Reducer.{member.name}' for member in Reducer)}.",
            )
    return {name: _REDUCTIONS[reducers[name]](values) for name, values in stacked.items()}


def without_bytes(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics but for those that are bytes, which nothing here can show; a warning names them."""
    dropped = [name for name, value in metrics.items() if isinstance(value, (bytes, bytearray))]
    if dropped:
        logger.warning("Metrics that are bytes were left out: %s.", ", ".join(map(repr, dropped)))
    return {name: value for name, value in metrics.items() if name not in dropped}


def require_values(metrics: Mapping[str, Any]) -> None:
    """Raise a TrialError that names the metric if one is None."""
    for name, value in metrics.items():
        if value is None:
            raise mistake(f"The validation metric {name!r} has a value", "It is None.", "Leave the metric out where there is none.")
