"""The metrics of a reporting period on the host, and their averages, in the form that callbacks receive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from detjupyter.errors import TrialUsageError


def host_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the metrics of each batch, with tensors as numpy arrays of the same type and shape; scalars become 0-d arrays.

    A metric that is a tensor of the same shape in every batch is transferred from the device once for all batches.
    """
    on_host: list[dict[str, Any]] = [dict(row) for row in rows]
    for name in dict.fromkeys(name for row in rows for name in row):
        holders = [row for row in on_host if isinstance(row.get(name), torch.Tensor)]
        for row, array in zip(holders, _arrays([row[name] for row in holders]), strict=True):
            row[name] = array
    return on_host


def average_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the arithmetic mean of each metric over batches, and over all elements of each value.

    Batches are not weighted by their size. ``None`` values are ignored. The mean of values that cannot be averaged, such as text, dicts and
    arrays of several shapes, is None.

    Raises:
        TrialUsageError: The batches have different metrics.
    """
    names = list(rows[0]) if rows else []
    for index, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise TrialUsageError(
                "train_batch() must return the same metrics for every batch, because a callback uses their averages.",
                f"Batch 0 of the reporting period returned {sorted(names)}, batch {index} returned {sorted(row)}.",
            )
    return {name: _mean([row[name] for row in rows if row[name] is not None]) for name in names}


def _arrays(tensors: list[torch.Tensor]) -> list[np.ndarray[Any, Any]]:
    first = tensors[0] if tensors else None
    if first is None or any((other.shape, other.dtype, other.device) != (first.shape, first.dtype, first.device) for other in tensors):
        return [_array(tensor) for tensor in tensors]
    stacked = _array(torch.stack(tensors))
    return [stacked[index, ...] for index in range(len(tensors))]  # the dots make a 0-d array of a scalar, instead of a numpy scalar


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # numpy has neither bfloat16 nor the 8-bit floats
        return tensor.float().numpy()


def _mean(values: list[Any]) -> float | None:
    try:
        array = np.asarray(values)
        if array.dtype.kind in "SU" or not array.size:
            return None
        return float(np.mean(array, dtype=None if array.dtype.kind == "O" else np.float64))
    except (TypeError, ValueError, ArithmeticError):
        return None
