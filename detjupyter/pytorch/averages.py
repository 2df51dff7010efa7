"""The metrics of a stretch of batches on the host, and their averages, as callbacks get to see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from detjupyter.pytorch.mistakes import mistake


def host_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the metrics of each batch with tensors as numpy arrays of their own type, those of no dimension included.

    A metric that is a tensor of one shape in every batch crosses from the device once for all of them.
    """
    on_host: list[dict[str, Any]] = [dict(row) for row in rows]
    for name in dict.fromkeys(name for row in rows for name in row):
        holders = [row for row in on_host if isinstance(row.get(name), torch.Tensor)]
        for row, array in zip(holders, _arrays([row[name] for row in holders]), strict=True):
            row[name] = array
    return on_host


def average_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the arithmetic mean of each metric over batches, and over all elements of each value.

    Batches are not weighted by their size, a ``None`` does not count, and what cannot be averaged (text, ragged values, dicts) is None.

    Raises:
        TrialError: The batches have different metrics.
    """
    names = list(rows[0]) if rows else []
    for index, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise mistake(
                "train_batch() returns the same metrics for every batch where a callback wants their averages",
                f"Batch 0 of the stretch gave {sorted(names)}, batch {index} gave {sorted(row)}.",
            )
    return {name: _mean([row[name] for row in rows if row[name] is not None]) for name in names}


def _arrays(tensors: list[torch.Tensor]) -> list[np.ndarray[Any, Any]]:
    first = tensors[0] if tensors else None
    if first is None or any((one.shape, one.dtype, one.device) != (first.shape, first.dtype, first.device) for one in tensors):
        return [_array(tensor) for tensor in tensors]
    stacked = _array(torch.stack(tensors))
    return [stacked[index, ...] for index in range(len(tensors))]  # with the dots also a 0-d array, and no number of numpy's


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # numpy has no bfloat16, nor what is smaller
        return tensor.float().numpy()


def _mean(values: list[Any]) -> float | None:
    try:
        array = np.asarray(values)
        if array.dtype.kind in "SU" or not array.size:
            return None
        return float(np.mean(array, dtype=None if array.dtype.kind == "O" else np.float64))
    except (TypeError, ValueError, ArithmeticError):
        return None
