"""Batches: how many records a batch holds, and how it is moved to the device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

TorchData = dict[str, torch.Tensor] | Sequence[torch.Tensor] | torch.Tensor


def data_length(batch: Any) -> int:
    """Return the number of records in ``batch``: its length, or that of its first item if it is a list, a tuple or a dict.

    Raises:
        ValueError: The batch is an empty container.
        TypeError: The batch, or its first item, has no length.
    """
    first = batch
    try:
        if isinstance(batch, (list, tuple)):
            first = batch[0]
            if type(first) is torch.Tensor and (shape := first.shape):  # fast path for nearly all batches: this runs once a batch
                return shape[0]
        elif isinstance(batch, Mapping):
            first = next(iter(batch.values()))
    except (IndexError, StopIteration):
        raise ValueError("A batch that is an empty container has no length; override get_batch_length().") from None
    if isinstance(first, (torch.Tensor, np.ndarray)) and first.ndim:
        return int(first.shape[0])
    if first is not batch:
        try:
            return len(first)
        except TypeError:
            raise TypeError(
                f"The length of a {type(batch).__name__} batch whose first item is a {_described(first)} is unknown; "
                "override get_batch_length()."
            ) from None
    raise TypeError(f"The length of a batch that is a {_described(batch)} is unknown; override get_batch_length().")


def _described(value: Any) -> str:
    return f"{type(value).__name__}{' without dimensions' if isinstance(value, (torch.Tensor, np.ndarray)) else ''}"


_unmovable_types: set[type] = set()


def to_device(data: Any, device: torch.device, warned_types: set[type] | None = None) -> Any:
    """Return ``data`` with every tensor and numeric array in it on ``device``. Values of other types, such as strings, stay unchanged.

    Dicts, lists, tuples and named tuples are searched, and an object with a method ``to`` moves itself. For each type that cannot be
    moved there is one warning: per set of ``warned_types`` if the caller keeps one, else per process.
    """
    if isinstance(data, torch.Tensor):
        return data if data.device == device else data.to(device, non_blocking=True)  # asynchronous from pinned memory
    if hasattr(data, "to"):  # before the containers: a PackedSequence is a tuple, and only its own `to` keeps the lengths on the host
        return data.to(device)
    if isinstance(data, Mapping):
        return {name: to_device(value, device, warned_types) for name, value in data.items()}
    if isinstance(data, list):
        return [to_device(value, device, warned_types) for value in data]
    if isinstance(data, tuple):
        moved = [to_device(value, device, warned_types) for value in data]
        return type(data)(*moved) if hasattr(data, "_fields") else tuple(moved)
    if isinstance(data, np.ndarray) and data.dtype.kind in "fciub":
        # torch.from_numpy rejects negative strides and foreign byte order, and warns about read-only arrays.
        native = np.require(data, data.dtype.newbyteorder("="), ["C", "W"])
        return torch.from_numpy(native).to(device)
    warned = _unmovable_types if warned_types is None else warned_types
    if type(data) not in warned:
        warned.add(type(data))
        warnings.warn(f"Values of type {type(data).__name__} in a batch cannot be moved to the device; left as they are.", stacklevel=2)
    return data
