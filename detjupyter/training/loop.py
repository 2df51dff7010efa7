"""The loop: one generator for every framework, one batch per step.

It yields an :data:`~detjupyter.protocol.events.Event` when there is something to tell and None when a batch went by and there is not.
At every yield the trial is between two batches: here it can be held for an hour, stepped, checkpointed or looked into. The loop
knows no thread, no view and no store, so the same generator runs in a kernel, in a script and in a worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from detjupyter.protocol.events import ActivityChanged, Checkpointed, Event, MetricsReported, Validated
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import Activity
from detjupyter.training.adapter import TrialAdapter
from detjupyter.training.plan import Plan

REPORT_INTERVAL_S = 0.1
"""Metrics cross from the device to the host this often, for all batches of the interval at once."""

Steps = Generator[Event | None, None, None]


class Trainee:
    """A trial in training: how far it is, and the metrics that have not left the device yet.

    ``adapter`` may be replaced between two batches: that is how edited code takes over.
    """

    def __init__(self, adapter: TrialAdapter) -> None:
        self.adapter = adapter
        self.batches_trained = 0
        self.records_trained = 0
        self.validated_at: int | None = None
        self.checkpointed_at: int | None = None
        self._rows: list[Mapping[str, Any]] = []

    def train_batch(self) -> None:
        """Train on one batch and keep its metrics where they are."""
        metrics, records = self.adapter.train_batch(self.batches_trained)
        self.batches_trained += 1
        self.records_trained += records
        self._rows.append(metrics)

    def report(self) -> MetricsReported | None:
        """Fetch the metrics of the batches since the last report, None if there were none."""
        rows, self._rows = self._rows, []
        if not rows:
            return None
        last = self.batches_trained
        batches = np.arange(last - len(rows) + 1, last + 1, dtype=np.int64)
        return MetricsReported(batches, self.adapter.fetch(rows), self.records_trained)

    def move_to(self, batches_trained: int, records_trained: int) -> None:
        """Count from a restored checkpoint on; what was not reported belongs to the future that is given up."""
        self._rows = []
        self.batches_trained = batches_trained
        self.records_trained = records_trained
        self.validated_at = self.checkpointed_at = None


def train(trainee: Trainee, plan: Plan, write_checkpoint: Callable[[], CheckpointRecord | None]) -> Steps:
    """Train to the end of ``plan``, validating and writing checkpoints on the way.

    ``write_checkpoint`` returns None when the checkpoint could not be written and the training shall go on without. What the user's code
    raises passes through; :meth:`Trainee.report` then still tells of the batches before it.
    """
    yield ActivityChanged(Activity.TRAINING)
    next_report = time.monotonic() + REPORT_INTERVAL_S
    while trainee.batches_trained < plan.target:
        trainee.train_batch()
        batches_trained = trainee.batches_trained
        validation_due = plan.is_validation_due(batches_trained)
        checkpoint_due = plan.is_checkpoint_due(batches_trained)
        if validation_due or checkpoint_due:
            yield trainee.report()
            if validation_due and trainee.validated_at != batches_trained:
                yield from validate(trainee)
            if checkpoint_due and trainee.checkpointed_at != batches_trained:
                yield from checkpoint(trainee, write_checkpoint)
            yield ActivityChanged(Activity.TRAINING)
        elif time.monotonic() >= next_report:
            yield trainee.report()
            next_report = time.monotonic() + REPORT_INTERVAL_S
        else:
            yield None
    yield trainee.report()


def validate(trainee: Trainee) -> Steps:
    """Run one validation."""
    yield ActivityChanged(Activity.VALIDATING)
    next_report = time.monotonic() + REPORT_INTERVAL_S
    batches_trained = trainee.batches_trained
    steps = trainee.adapter.validate()
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            metrics: Mapping[str, Any] = end.value
            break
        if time.monotonic() >= next_report:
            yield ActivityChanged(Activity.VALIDATING, done, total)
            next_report = time.monotonic() + REPORT_INTERVAL_S
        else:
            yield None
    trainee.validated_at = batches_trained
    yield Validated(batches_trained, metrics)


def checkpoint(trainee: Trainee, write_checkpoint: Callable[[], CheckpointRecord | None]) -> Steps:
    """Write one checkpoint."""
    yield ActivityChanged(Activity.CHECKPOINTING)
    record = write_checkpoint()
    if record is not None:
        trainee.checkpointed_at = trainee.batches_trained
        yield Checkpointed(record)
