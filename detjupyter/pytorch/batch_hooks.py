"""Calls callbacks, schedulers and custom reducers around a batch and at the end of a reporting period, for trials that have any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detjupyter.pytorch.callback_metrics import average_metrics, host_rows
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.context.between_batches import BetweenBatches
from detjupyter.pytorch.tensorboard import log_averages

_AROUND_BATCHES = ("on_train_step_start", "on_training_epoch_start", "on_training_epoch_end")


class BatchHooks:
    """The hooks of one trial.

    Args:
        context: The trial's context.
        callbacks: The trial's callbacks.
        between: Steps schedulers, scaler and profiler after a batch.

    Attributes:
        are_needed: Whether :meth:`before_batch` and :meth:`after_batch` do anything for this trial. The adapter skips the calls otherwise.
    """

    def __init__(self, context: PyTorchTrialContext, callbacks: Callbacks, between: BetweenBatches) -> None:
        self.are_needed = False
        self._context = context
        self._callbacks = callbacks
        self._between = between
        self._rows: list[Mapping[str, Any]] | None = [] if callbacks.wants_report_periods else None  # metrics of the current period
        self._earlier: list[Mapping[str, Any]] = []  # metrics of the current period's batches before a reload
        self._step_id: int | None = None  # Determined's number of the current period

    def begin(self) -> None:
        """Prepare for a training."""
        self._look_up()
        self._context.reducers.reset(training=True)

    def adopt(self, other: BatchHooks) -> None:
        """Continue the training, and the reporting period, of an earlier version of the trial."""
        self._look_up()
        self._step_id, self._earlier = other._step_id, other._rows_so_far()
        self._context.reducers.adopt(other._context.reducers)

    def before_batch(self, batch_idx: int, epoch_idx: int) -> None:
        """Call the callbacks for a reporting period or an epoch that begins with this batch."""
        if self._step_id is None:
            self._step_id = batch_idx // self._context.settings.scheduling_unit + 1
            self._callbacks.on_train_step_start(self._step_id)
        per_epoch = self._context.batches_per_epoch
        if per_epoch and batch_idx % per_epoch == 0:
            self._callbacks.on_training_epoch_start(epoch_idx)

    def after_batch(self, row: Mapping[str, Any], batch_idx: int, epoch_idx: int) -> None:
        """Step schedulers, scaler and profiler, and call the callbacks for an epoch that ends with this batch."""
        self._between.end_batch()
        if self._rows is not None:
            self._rows.append(row)
        per_epoch = self._context.batches_per_epoch
        if per_epoch and (batch_idx + 1) % per_epoch == 0:
            self._callbacks.on_training_epoch_end(epoch_idx)

    def end_report_period(self, batches_trained: int) -> Mapping[str, Any]:
        """Reduce the custom reducers and pass the averages of the reporting period to the callbacks; return the reduced metrics."""
        reducers, per_epoch = self._context.reducers, self._context.batches_per_epoch
        reduced = reducers.reduce(training=True)
        if self._rows is not None and (so_far := self._rows_so_far()):
            rows, self._rows, self._earlier = host_rows(so_far), [], []
            done = {"batches": batches_trained, "epochs": batches_trained // per_epoch if per_epoch else 0}
            averages = {**done, **average_metrics(rows), **reduced}
            self._callbacks.on_training_workload_end(avg_metrics=averages, batch_metrics=rows)
            if self._step_id is not None:
                self._callbacks.on_train_step_end(self._step_id, {"avg_metrics": averages, "batch_metrics": rows})
        self._step_id = None
        if self._between.scalar_writer is not None:
            log_averages(self._between.scalar_writer, batches_trained, reduced)
        reducers.reset(training=True)
        return reduced

    def _look_up(self) -> None:
        has_callbacks = self._rows is not None or any(map(self._callbacks.overrides, _AROUND_BATCHES))
        self.are_needed = has_callbacks or self._between.has_work

    def _rows_so_far(self) -> list[Mapping[str, Any]]:
        """Return the metrics of the current period; without those before a reload if their names differ, since no average exists then."""
        earlier, rows = self._earlier, self._rows or []
        return rows if earlier and rows and earlier[-1].keys() != rows[0].keys() else [*earlier, *rows]
