"""Bring metrics from the device to the host, many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detjupyter.protocol.records import FloatArray


def column(values: Sequence[Any]) -> FloatArray | None:
    """Return one metric's values of N batches as (N,) float64, with a single transfer; None if not one of them is a number.

    A value of several elements counts by its mean; what is no number counts as NaN.
    """
    stacked = _stack(values)
    if stacked is None:
        numbers = [_number(value) for value in values]
        if all(number is None for number in numbers):
            return None
        return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)
    return stacked.reshape(len(values), -1).mean(axis=1) if stacked.ndim > 1 else stacked


def stack(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return one metric's values of N batches as one array (N, …) of float64.

    Raises:
        ValueError: they differ in shape, or are no numbers.
    """
    stacked = _stack(values)
    return np.stack([np.asarray(value, dtype=np.float64) for value in map(_host, values)]) if stacked is None else stacked


def _stack(values: Sequence[Any]) -> FloatArray | None:
    try:
        if isinstance(values[0], torch.Tensor):
            return torch.stack(list(values)).cpu().double().numpy()
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # mixed types, devices or shapes: one by one then
        return None


def _number(value: Any) -> float | None:
    try:
        array = np.asarray(_host(value), dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return float(array.mean()) if array.size else None


def _host(value: Any) -> Any:
    return value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value
