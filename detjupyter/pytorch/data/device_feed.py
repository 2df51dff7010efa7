"""Copies batches to a GPU while the GPU computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from detjupyter.pytorch.data.batches import to_device


def feed(batches: Iterator[Any], device: torch.device, *, ahead: bool) -> Iterator[Any]:
    """Yield ``batches`` on the GPU ``device``, copied on a separate CUDA stream concurrently with the computation.

    With ``ahead`` the copy of a batch begins before the previous batch is trained, so that the two overlap even if the trial waits for
    the GPU in every batch. The batches and their order stay the same.
    """
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    upcoming = _copy(batches, device, copies) if ahead else None
    while True:
        batch, copied = upcoming if upcoming is not None else _copy(batches, device, copies)
        upcoming = _copy(batches, device, copies) if ahead else None
        current = torch.cuda.current_stream(device)
        current.wait_event(copied)  # makes the GPU wait, not this thread
        _belongs_to(batch, current)
        yield batch


def _copy(batches: Iterator[Any], device: torch.device, copies: torch.cuda.Stream) -> tuple[Any, torch.cuda.Event]:
    batch = next(batches)
    with torch.cuda.stream(copies):
        moved = to_device(batch, device)
        return moved, copies.record_event()


def _belongs_to(data: Any, stream: torch.cuda.Stream) -> None:
    """Keep the memory of a batch reserved until ``stream`` has finished with it.

    The allocator knows only the stream that the memory was allocated on, the one of the copies. Without this it would reuse the memory for
    a later copy while the computation still reads it. Source: ``torch.Tensor.record_stream``.
    """
    if isinstance(data, torch.Tensor):
        if data.is_cuda:
            data.record_stream(stream)
    elif isinstance(data, dict):
        for value in data.values():
            _belongs_to(value, stream)
    elif isinstance(data, (list, tuple)):
        for value in data:
            _belongs_to(value, stream)
    elif hasattr(data, "record_stream"):
        data.record_stream(stream)
