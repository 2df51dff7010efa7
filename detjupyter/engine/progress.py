"""The progress of a trial: its counts of batches and records, and the metrics that are not reported yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.engine.plan import NEVER
from detjupyter.engine.unrecorded import UnrecordedMetrics
from detjupyter.framework.adapter import TrialAdapter
from detjupyter.framework.metrics import scalars
from detjupyter.framework.warning import Receive
from detjupyter.protocol.events import MetricsReported
from detjupyter.protocol.records import FloatArray


class TrainingProgress:
    """A trial in training: its counts, and the metrics that are still on the device.

    Args:
        adapter: The trial.
        warn: Warns about the trial.

    Attributes:
        adapter: The trial. A reload replaces it between two batches.
        batches_trained: How many batches the trial is trained on.
        records_trained: How many records these batches contained.
        validated_at: The number of batches at the last validation; None without one.
        checkpointed_at: The number of batches at the last checkpoint; None without one.
        restored_at: The number of batches of the restored checkpoint; None without one.
    """

    def __init__(self, adapter: TrialAdapter, warn: Receive) -> None:
        self.adapter = adapter
        self.batches_trained = 0
        self.records_trained = 0
        self.validated_at: int | None = None
        self.checkpointed_at: int | None = None
        self.restored_at: int | None = None
        self._replaced = 0
        self.pause_at = NEVER
        """The loop yields at this number of batches trained."""
        self.has_request: Callable[[], bool] = lambda: False
        """Called after every batch; the loop yields if it returns True."""
        self.not_finite: tuple[int, str] | None = None
        """The first reported batch of this training with a metric that was NaN or infinite, and the metric's name."""
        self.unrecorded = UnrecordedMetrics(warn)
        """Names the metrics that are not recorded."""
        self._rows: list[Mapping[str, Any]] = []

    @property
    def moment(self) -> tuple[int, int]:
        """Identifies the present state of the trial among all states that it has had: two restores can end at the same batch."""
        return self._replaced, self.batches_trained

    def note_replaced(self) -> None:
        """Note that the state of the trial is another one although no batch was trained."""
        self._replaced += 1

    def train_until(self, boundary: int, report_at: float) -> None:
        """Train until ``boundary``, ``pause_at``, a request, a stop of the trial, or the time ``report_at``, whichever comes first.

        This is the fast path of the training: between two batches nothing else of detjupyter runs, and no metrics are fetched.
        """
        adapter, rows, has_request, clock = self.adapter, self._rows, self.has_request, time.monotonic  # locals: faster than attributes
        end, train_batch = min(boundary, self.pause_at), adapter.train_batch
        while self.batches_trained < end:
            metrics, records = train_batch(self.batches_trained)
            rows.append(metrics)
            self.batches_trained += 1
            self.records_trained += records
            if has_request() or clock() >= report_at or adapter.stop_requested:
                return

    def report(self) -> MetricsReported | None:
        """Fetch the metrics of the batches since the last report; return None if there were no batches."""
        rows, self._rows = self._rows, []  # before the transfer: if it fails, the next report must not fail on the same rows
        if not rows:
            return None
        last = self.batches_trained
        batches = np.arange(last - len(rows) + 1, last + 1, dtype=np.int64)
        columns = self.adapter.fetch(rows)
        self.unrecorded.of_batches(rows, columns)
        suspects = _not_finite(columns)
        event = MetricsReported(batches, columns, self.records_trained, _given(rows, columns, suspects))
        if self.not_finite is None and suspects:
            bad = [(int(at[~np.isfinite(values)][0]), name) for name, at, values in event.points() if not np.isfinite(values).all()]
            self.not_finite = min(bad, default=None)
        return event

    def end_report_period(self) -> MetricsReported | None:
        """End the reporting period; return the metrics that exist only for the whole period, None if there are none."""
        metrics = scalars(self.adapter.end_report_period(self.batches_trained))
        if not metrics:
            return None
        columns = {name: np.array([value]) for name, value in metrics.items()}
        return MetricsReported(np.array([self.batches_trained], dtype=np.int64), columns, self.records_trained)

    def move_to(self, batches_trained: int, records_trained: int) -> None:
        """Set the counts to those of a restored checkpoint, and drop unreported metrics, which belong to the discarded batches."""
        self._rows = []
        self.note_replaced()
        self.batches_trained = batches_trained
        self.records_trained = records_trained
        self.validated_at = self.checkpointed_at = None
        self.restored_at = batches_trained


def _not_finite(columns: Mapping[str, FloatArray]) -> list[str]:
    """Return the metrics with a NaN or an infinity. One array holds them all: there can be thousands of metrics of a few batches each."""
    if not columns:
        return []
    values = np.concatenate(list(columns.values())).reshape(len(columns), -1)
    return [name for name, is_finite in zip(columns, np.isfinite(values).all(axis=1), strict=True) if not is_finite]


def _given(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, FloatArray], suspects: Iterable[str]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which rows have a metric, for the metrics that some rows lack. These are among ``suspects``, since they are NaN there."""
    given = {}
    for name in suspects:
        has = ~np.isnan(columns[name])
        for index in np.flatnonzero(~has).tolist():
            has[index] = rows[index].get(name) is not None
        if not has.all():
            given[name] = has
    return given
