"""The metrics of a stretch of batches on the host, and their averages, as callbacks get to see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from detjupyter.pytorch.mistakes import mistake


def host_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the metrics of each batch with tensors as numpy arrays, those of no dimension included."""
    return [{name: _host(value) for name, value in row.items()} for row in rows]


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


def _host(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def _mean(values: list[Any]) -> float | None:
    try:
        return float(np.mean(np.asarray(values, dtype=np.float64))) if values else None
    except (TypeError, ValueError):
        return None
