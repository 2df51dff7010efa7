"""Lengths and periods of training: batches, epochs and records."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import ClassVar, Literal

CheckpointPolicy = Literal["best", "all", "none"]
"""Which validations are followed by a checkpoint."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A length of ``value`` batches. For a period, ``value`` may be a container: the batches, counted from 1, at which it ends."""

    kind: ClassVar[str] = "batches"
    value: int | Container[int]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A length of ``value`` epochs. For a period, ``value`` may be a container: the epochs, counted from 1, at which it ends."""

    kind: ClassVar[str] = "epochs"
    value: int | Container[int]


@dataclass(frozen=True, slots=True)
class Records:
    """A length of ``value`` records: the number of whole batches in it, at least one."""

    kind: ClassVar[str] = "records"
    value: int


Length = Batch | Epoch | Records | int
"""A bare number counts batches."""
