"""The metrics of a trial's first batches, and their comparison between two trials."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from detjupyter.check.report import FirstDifference
from detjupyter.framework.adapter import TrialAdapter
from detjupyter.framework.framework import find_framework

Columns = Mapping[str, Sequence[float]]
"""A mapping of metric names to one value per batch."""


def columns(adapter: TrialAdapter, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Fetch the metrics of batches and convert them to columns."""
    return {name: [float(value) for value in values] for name, values in adapter.fetch(rows).items()}


def settings_of(framework: str) -> dict[str, str]:
    """Return the settings of this process that affect the exact bits of a framework's results."""
    return find_framework(framework).numeric_settings()


def to_bits(metrics: Columns) -> dict[str, list[str]]:
    """Return the values as the hexadecimal digits of their 64 bits: lossless text."""
    return {name: [struct.pack(">d", value).hex() for value in values] for name, values in metrics.items()}


def from_bits(metrics: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """Undo :func:`to_bits`."""
    return {name: [struct.unpack(">d", bytes.fromhex(text))[0] for text in texts] for name, texts in metrics.items()}


def first_difference(kernel: Columns, shipped: Columns, batches: int) -> FirstDifference | None:
    """Return the first value that differs in any bit, by batch, then by name; None if there is none.

    All NaNs count as equal: their bits depend on the machine's instructions.
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
