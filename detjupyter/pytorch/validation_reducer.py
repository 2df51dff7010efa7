"""Reduces the metrics of a validation's batches to one number for each metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np

from detjupyter.errors import TrialUsageError
from detjupyter.framework.warning import warn
from detjupyter.protocol.events import Until


class Reducer(Enum):
    """How the values of all batches are reduced. ``AVG`` does not weight batches by their size."""

    AVG = 1
    SUM = 2
    MAX = 3
    MIN = 4


_REDUCTIONS: dict[Reducer, Callable[[Any], Any]] = {Reducer.AVG: np.mean, Reducer.SUM: np.sum, Reducer.MAX: np.max, Reducer.MIN: np.min}


def reduce_metrics(stacked: Mapping[str, np.ndarray[Any, Any]], reducer: Reducer | Mapping[str, Reducer]) -> dict[str, float]:
    """Reduce each metric's values, (N, …) float64 of N batches, to one ``numpy.float64``. A NaN among the values makes the result NaN.

    Raises:
        TrialUsageError: ``reducer`` is a dict whose keys are not the metrics, or contains a value that is no :class:`Reducer`.
    """
    if isinstance(reducer, Mapping) and set(reducer) != set(stacked):
        raise TrialUsageError(
            "evaluation_reducer() and evaluate_batch() must name the same metrics.",
            f"The reducers are for {sorted(map(str, reducer))}, the metrics are {sorted(map(str, stacked))}.",
        )
    reducers = {name: reducer[name] if isinstance(reducer, Mapping) else reducer for name in stacked}
    for name, chosen in reducers.items():
        if not isinstance(chosen, Reducer):
            raise TrialUsageError(
                f"evaluation_reducer() returned {chosen!r} for {name!r}, which is not a Reducer.",
                hint=f"Use one of {', '.join(f'Reducer.{member.name}' for member in Reducer)}.",
            )
    return {name: _REDUCTIONS[reducers[name]](values) for name, values in stacked.items()}


def without_bytes(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics without those that are bytes, which no view can show. A warning names them."""
    dropped = [name for name, value in metrics.items() if isinstance(value, (bytes, bytearray))]
    if dropped:
        warn(f"Metrics that are bytes were left out: {', '.join(map(repr, dropped))}.", Until.TRAINING)
    return {name: value for name, value in metrics.items() if name not in dropped}


def require_values(metrics: Mapping[str, Any]) -> None:
    """Raise a TrialUsageError if a metric is None."""
    for name, value in metrics.items():
        if value is None:
            raise TrialUsageError(
                f"The validation metric {name!r} must have a value.", "It is None.", "Leave the metric out if it has no value."
            )
