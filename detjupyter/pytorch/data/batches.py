"""Batches: how many records one holds, and how it gets to the device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np
import torch

TorchData = Union[dict[str, torch.Tensor], Sequence[torch.Tensor], torch.Tensor]


def data_length(batch: Any) -> int:
    """Return how many records ``batch`` holds: the length of it, or of the first thing in it if it is a list, a tuple or a dict.

    Raises:
        ValueError: The batch is an empty container.
        TypeError: It, or the first thing in it, has no length.
    """
    first = batch
    try:
        if isinstance(batch, (list, tuple)):
            first = batch[0]
            if type(first) is torch.Tensor and (shape := first.shape):  # what nearly all batches are, in every one of which this is asked
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
                f"A batch of type {type(batch).__name__} that begins with a {_described(first)} has no length that we know; "
                "override get_batch_length()."
            ) from None
    raise TypeError(f"A batch that is a {_described(batch)} has no length that we know; override get_batch_length().")


def _described(value: Any) -> str:
    return f"{type(value).__name__}{' of no dimension' if isinstance(value, (torch.Tensor, np.ndarray)) else ''}"


_unmovable_types: set[type] = set()


def to_device(data: Any, device: torch.device, warned_types: set[type] | None = None) -> Any:
    """Return ``data`` with every tensor and numeric array in it on ``device``; strings and the like stay as they are.

    Dicts, lists and tuples, named ones too, are walked through, and what has a method ``to`` moves itself. A type that cannot be moved
    is warned of once: for each set of ``warned_types`` that a caller keeps, else once in a process.
    """
    if isinstance(data, torch.Tensor):
        return data if data.device == device else data.to(device, non_blocking=True)
    if hasattr(data, "to"):  # before the containers: a packed sequence is a tuple that knows what must stay on the host
        return data.to(device)
    if isinstance(data, Mapping):
        return {name: to_device(value, device, warned_types) for name, value in data.items()}
    if isinstance(data, list):
        return [to_device(value, device, warned_types) for value in data]
    if isinstance(data, tuple):
        moved = [to_device(value, device, warned_types) for value in data]
        return type(data)(*moved) if hasattr(data, "_fields") else tuple(moved)
    if isinstance(data, np.ndarray) and data.dtype.kind in "fciub":
        # Torch takes neither a reversed array nor one of foreign byte order, and warns of one that is not to be written to.
        native = np.require(data, data.dtype.newbyteorder("="), ["C", "W"])
        return torch.from_numpy(native).to(device)
    warned = _unmovable_types if warned_types is None else warned_types
    if type(data) not in warned:
        warned.add(type(data))
        warnings.warn(f"Values of type {type(data).__name__} in a batch stay where they are.", stacklevel=2)
    return data
