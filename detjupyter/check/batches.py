"""The metrics of a trial's first batches, and whether two trials have the same."""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from detjupyter.check.report import FirstDifference
from detjupyter.training.adapter import TrialAdapter

Columns = Mapping[str, Sequence[float]]
"""Metric name to one value per batch."""


def columns(adapter: TrialAdapter, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the metrics of batches as numbers of this process."""
    return {name: [float(value) for value in values] for name, values in adapter.fetch(rows).items()}


def settings_of(framework: str) -> dict[str, str]:
    """Return the settings of this process on which the bits of a framework's results depend."""
    settings: dict[str, str] = importlib.import_module(f"detjupyter.{framework}.numerics").numeric_settings()
    return settings


def to_bits(metrics: Columns) -> dict[str, list[str]]:
    """Return the values as the hexadecimal digits of their 64 bits: text that loses nothing."""
    return {name: [struct.pack(">d", value).hex() for value in values] for name, values in metrics.items()}


def from_bits(metrics: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """Undo :func:`to_bits`."""
    return {name: [struct.unpack(">d", bytes.fromhex(text))[0] for text in texts] for name, texts in metrics.items()}


def first_difference(kernel: Columns, shipped: Columns, batches: int) -> FirstDifference | None:
    """Return the first value that is not the same bit for bit, by batch, then by name; None if there is none.

    Any NaN is the same as any other: which one it is depends on the machine's instructions.
    """
    for index in range(batches):
        for name in sorted({*kernel, *shipped}):
            one, two = (metrics[name][index] if name in metrics else None for metrics in (kernel, shipped))
            if not _same(one, two):
                return FirstDifference(index + 1, name, one, two)
    return None


def _same(one: float | None, two: float | None) -> bool:
    if one is None or two is None:
        return one is two
    return struct.pack("d", one) == struct.pack("d", two) or (math.isnan(one) and math.isnan(two))
