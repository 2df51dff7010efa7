"""Determines the best validation of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detjupyter.framework.metrics import flatten, improves_to, single_numbers
from detjupyter.protocol.records import BestRecord


class Ranking:
    """The best validation so far.

    Args:
        metric: The validation metric to rank by; None for the first one of each validation.
        smaller_is_better: Whether smaller values are better; None to guess from the metric's name.

    Attributes:
        best: The best value so far; None before the first.
        newest: The value of the ranking metric in the newest validation; None if it has none.
    """

    def __init__(self, metric: str | None = None, smaller_is_better: bool | None = None) -> None:
        self.best: BestRecord | None = None
        self.newest: float | None = None
        self._metric = metric
        self._smaller_is_better = smaller_is_better

    def configure(self, metric: str | None, smaller_is_better: bool | None) -> None:
        """Rank by another metric from now on."""
        self._metric, self._smaller_is_better = metric, smaller_is_better

    def missing(self, metrics: Mapping[str, Any]) -> str | None:
        """Return the configured metric if it is not among ``metrics``; otherwise None."""
        return self._metric if self._metric is not None and self._metric not in flatten(metrics) else None

    def add(self, metrics: Mapping[str, Any], batches_trained: int) -> bool:
        """Add a validation, and return whether it is the best so far."""
        numbers = single_numbers(metrics)
        name = self._metric if self._metric in numbers else next(iter(numbers), None)
        self.newest = None
        if name is None:
            return False
        smaller = self._smaller_is_better if self._smaller_is_better is not None else improves_to(name) == "smaller"
        new, old = BestRecord(name, numbers[name], batches_trained, smaller), self.best
        if math.isnan(new.value):  # as the first value it would remain the best: no comparison with NaN is true
            return False
        if old is None or old.name == name:
            self.newest = new.value
        # Values of two metrics cannot be compared, so the ranking restarts with another metric.
        if old is None or old.name != name or (new.value < old.value if smaller else new.value > old.value):
            self.best, self.newest = new, new.value
            return True
        return False
