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
    given = [index for index, value in enumerate(values) if value is not None]
    numbers = _column([values[index] for index in given]) if given else None
    if numbers is None or len(given) == len(values):
        return numbers
    filled = np.full(len(values), math.nan)
    filled[given] = numbers
    return filled


def _column(values: Sequence[Any]) -> FloatArray | None:
    stacked = _stack(values)
    if stacked is None:
        numbers = [_number(value) for value in values]
        if all(number is None for number in numbers):
            return None
        return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)
    if stacked.ndim == 1:
        return stacked
    return stacked.reshape(len(values), -1).mean(axis=1) if stacked.size else None


def stack(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return one metric's values of N batches as one array (N, …) of float64.

    Raises:
        ValueError: they differ in shape, or are no numbers.
    """
    if any(value is None for value in values):
        raise TypeError("a value is None")
    stacked = _stack(values)
    return np.stack([np.asarray(value, dtype=np.float64) for value in map(host, values)]) if stacked is None else stacked


def _stack(values: Sequence[Any]) -> FloatArray | None:
    try:
        if isinstance(values[0], torch.Tensor):
            return torch.stack(list(values)).cpu().double().numpy()
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # mixed types, devices or shapes: one by one then
        return None


def _number(value: Any) -> float | None:
    try:
        array = np.asarray(host(value), dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor with a graph, in a list
        return None
    return float(array.mean()) if array.size else None


def host(value: Any) -> Any:
    """Return a tensor as a numpy array, anything else as it is."""
    return value.detach().cpu().double().numpy() if isinstance(value, torch.Tensor) else value
