"""Transfers metrics from the device to the host, many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detjupyter.protocol.records import FloatArray

_NOT_NUMERIC = "SUcmMV"  # numpy's kinds of dtypes; they include text, since astype would convert the text "1" to a number


def column(values: Sequence[Any]) -> FloatArray | None:
    """Return one metric's values in N batches as (N,) float64, with a single transfer; None if none of them is a number.

    A value with several elements is averaged. A value that is not a number becomes NaN.
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
    """Return one metric's values in N batches as one array (N, …) of float64.

    Raises:
        ValueError: The values differ in shape, or are empty; the message names the batch, counted from 0.
        TypeError: A value is not a number; the message names the batch.
    """
    stacked = _stack(values)
    if stacked is None:
        arrays = [_numbers(value, index) for index, value in enumerate(values)]
        for index, array in enumerate(arrays):
            if array.shape != arrays[0].shape:
                raise ValueError(f"Batch 0 returned an array of shape {arrays[0].shape}, batch {index} one of shape {array.shape}.")
        stacked = np.stack(arrays)
    if not stacked.size:
        raise ValueError("Batch 0 returned an empty array.")
    return stacked


def _numbers(value: Any, index: int) -> FloatArray:
    """Return a value as an array of float64, or raise a TypeError that names its batch."""
    if value is None:
        raise TypeError(f"Batch {index} returned None.")
    value = host(value)
    try:
        array = np.asarray(value)
        if array.dtype.kind in _NOT_NUMERIC:
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise TypeError(
            f"Batch {index} returned {'an array' if isinstance(value, np.ndarray) else 'a value'} of type {_kind(value)}."
        ) from None


def _kind(value: Any) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def _stack(values: Sequence[Any]) -> FloatArray | None:
    try:
        if isinstance(values[0], torch.Tensor):
            if values[0].is_complex():
                return None
            return torch.stack(list(values)).cpu().double().numpy()
        array = np.array(values)
        return None if array.dtype.kind in _NOT_NUMERIC or array.dtype.kind == "O" else array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # mixed types, devices or shapes: the caller converts one by one
        return None


def _number(value: Any) -> float | None:
    try:
        array = np.asarray(host(value))
        if array.dtype.kind in _NOT_NUMERIC:
            return None
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a list contains a tensor that requires gradients
        return None
    return float(array.mean()) if array.size else None


def host(value: Any) -> Any:
    """Return a tensor as a numpy array of float64, or of its own type if it is complex; other values unchanged."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return value.numpy() if value.is_complex() else value.double().numpy()
