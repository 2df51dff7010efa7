"""Batches: how many records one holds, and how it gets to the device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
import torch

TorchData = Union[dict[str, torch.Tensor], Sequence[torch.Tensor], torch.Tensor]


def data_length(batch: Any) -> int:
    """Return how many records ``batch`` holds: the length of its first tensor or array.

    Raises:
        ValueError: the batch is an empty container.
        TypeError: the batch is neither a tensor, an array nor a container of them.
    """
    first = batch
    if isinstance(batch, (list, tuple)):
        first = batch[0] if batch else None
    elif isinstance(batch, Mapping):
        first = next(iter(batch.values()), None)
    if first is None:
        raise ValueError("A batch that is an empty container has no length.")
    if isinstance(first, (torch.Tensor, np.ndarray)) and first.ndim:
        return int(first.shape[0])  # len() of a tensor takes five times as long, and this is asked for every batch
    if first is not batch:
        return len(first)
    raise TypeError(f"A batch of type {type(batch).__name__} has no length that we know; override get_batch_length().")


_unmovable_types: set[type] = set()


def to_device(data: Any, device: torch.device) -> Any:
    """Return ``data`` with every tensor and numeric array in it on ``device``; strings and the like stay as they are.

    Dicts, lists and tuples are walked through. A type that cannot be moved is warned of once.
    """
    if isinstance(data, torch.Tensor):
        return data if data.device == device else data.to(device, non_blocking=True)
    if hasattr(data, "to"):  # before the containers: a packed sequence is a tuple that knows what must stay on the host
        return data.to(device)
    if isinstance(data, dict):
        return {name: to_device(value, device) for name, value in data.items()}
    if isinstance(data, list):
        return [to_device(value, device) for value in data]
    if isinstance(data, tuple):
        moved = [to_device(value, device) for value in data]
        return type(data)(*moved) if hasattr(data, "_fields") else tuple(moved)
    if isinstance(data, np.ndarray) and data.dtype.kind in "fciub":
        return torch.from_numpy(data).to(device)
    if type(data) not in _unmovable_types:
        _unmovable_types.add(type(data))
        warnings.warn(f"Values of type {type(data).__name__} in a batch stay where they are.", stacklevel=2)
    return data
