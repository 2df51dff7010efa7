"""Samplers to wrap."""

from __future__ import annotations

from typing import Any

from torch.utils.data import BatchSampler, SequentialSampler


def batches_of(count: int, size: int = 1) -> Any:
    """Return a sampler of batches of ``size`` out of ``count`` indices, in order."""
    return BatchSampler(SequentialSampler(range(count)), size, drop_last=False)
