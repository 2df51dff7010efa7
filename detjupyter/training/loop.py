"""The loop: one generator for every framework.

It yields an :data:`~detjupyter.protocol.events.Event` when there is something to tell, and None when somebody wants the trial and there
is not. At every yield the trial is between two batches: here it can be held for an hour, stepped, checkpointed or looked into. The loop
knows no thread, no view and no store, so the same generator runs in a kernel, in a script and in a worker.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.errors import TrialError
from detjupyter.protocol.events import ActivityChanged, Checkpointed, Event, MetricsReported, Validated
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import Activity
from detjupyter.training.adapter import TrialAdapter
from detjupyter.training.metrics import scalars
from detjupyter.training.plan import Plan

REPORT_INTERVAL_S = 0.1
"""Metrics cross from the device to the host this often, for all batches of the interval at once."""

NEVER = sys.maxsize
"""A number of batches that is never reached."""

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
        self.hold_at = NEVER
        """The loop yields when so many batches are trained."""
        self.is_wanted: Callable[[], bool] = lambda: False
        """Asked after every batch; the loop yields where the answer is yes."""
        self.not_finite: tuple[int, str] | None = None
        """The first batch of this training with a metric that was NaN or infinite, as far as was reported, and the metric's name."""
        self._rows: list[Mapping[str, Any]] = []

    def train_until(self, boundary: int, report_at: float) -> None:
        """Train to a boundary, a hold, a request, the trial's wish to stop or a moment of the clock, whichever comes first.

        Metrics stay where they are.
        """
        adapter, rows, is_wanted, clock = self.adapter, self._rows, self.is_wanted, time.monotonic
        end, train_batch = min(boundary, self.hold_at), adapter.train_batch
        while self.batches_trained < end:
            metrics, records = train_batch(self.batches_trained)
            rows.append(metrics)
            self.batches_trained += 1
            self.records_trained += records
            if is_wanted() or clock() >= report_at or adapter.stop_requested:
                return

    def report(self) -> MetricsReported | None:
        """Fetch the metrics of the batches since the last report, None if there were none."""
        rows, self._rows = self._rows, []
        if not rows:
            return None
        last = self.batches_trained
        batches = np.arange(last - len(rows) + 1, last + 1, dtype=np.int64)
        columns = self.adapter.fetch(rows)
        event = MetricsReported(batches, columns, self.records_trained, _given(rows, columns))
        if self.not_finite is None:
            bad = [(int(at[~np.isfinite(values)][0]), name) for name, at, values in event.points() if not np.isfinite(values).all()]
            self.not_finite = min(bad, default=None)
        return event

    def end_stretch(self) -> MetricsReported | None:
        """Close the stretch of batches up to here; return the metrics that stand for all of it, None if there are none."""
        metrics = scalars(self.adapter.end_stretch(self.batches_trained))
        if not metrics:
            return None
        columns = {name: np.array([value]) for name, value in metrics.items()}
        return MetricsReported(np.array([self.batches_trained], dtype=np.int64), columns, self.records_trained)

    def move_to(self, batches_trained: int, records_trained: int) -> None:
        """Count from a restored checkpoint on; what was not reported belongs to the future that is given up."""
        self._rows = []
        self.batches_trained = batches_trained
        self.records_trained = records_trained
        self.validated_at = self.checkpointed_at = None


def _given(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which rows have a metric, for those metrics that some rows lack."""
    lacking = [name for name in names if any(row.get(name) is None for row in rows)]
    return {name: np.array([row.get(name) is not None for row in rows]) for name in lacking}


def train(
    trainee: Trainee, plan: Plan, write_checkpoint: Callable[[], CheckpointRecord | None], is_best: Callable[[], bool] = lambda: False
) -> Steps:
    """Train to the end of ``plan``, validating and saving checkpoints on the way; a trial that asks to stop ends it early.

    Args:
        trainee: The trial.
        plan: What is to be done.
        write_checkpoint: Returns None when the files are written behind, and when the checkpoint could not be written and the training
            shall go on without.
        is_best: Whether the validation that was just told of is the best so far.

    What the user's code raises passes through; :meth:`Trainee.report` then still tells of the batches before it.
    """
    yield ActivityChanged(Activity.TRAINING)
    trainee.not_finite = None
    trainee.adapter.begin(trainee.batches_trained)
    if plan.initial_validation and trainee.batches_trained == 0 and trainee.validated_at is None:
        yield from _validate_and_keep(trainee, plan, write_checkpoint, is_best)
        yield ActivityChanged(Activity.TRAINING)
    next_report = time.monotonic() + REPORT_INTERVAL_S
    while trainee.batches_trained < plan.target and not trainee.adapter.stop_requested:
        boundary = plan.next_boundary(trainee.batches_trained)
        while trainee.batches_trained < boundary and not trainee.adapter.stop_requested:
            trainee.train_until(boundary, next_report)
            if time.monotonic() >= next_report:
                yield from _report(trainee, plan)
                next_report = time.monotonic() + REPORT_INTERVAL_S
            elif trainee.batches_trained < boundary:
                yield None
                _stop_at_nan(trainee, plan)  # whoever held it may have had the metrics reported
        yield from _at_boundary(trainee, plan, write_checkpoint, is_best)
    if plan.start == plan.target:  # all of it was trained before
        yield from _at_boundary(trainee, plan, write_checkpoint, is_best)
    yield from _report(trainee, plan)


def _report(trainee: Trainee, plan: Plan) -> Steps:
    """Tell of the metrics since the last report; raise at the first NaN or infinity if the plan wants that."""
    yield trainee.report()
    _stop_at_nan(trainee, plan)


def _stop_at_nan(trainee: Trainee, plan: Plan) -> None:
    if plan.stops_at_nan and trainee.not_finite is not None:
        batch, name = trainee.not_finite
        raise TrialError(
            f"{name} was no finite number at batch {batch:,}.",
            exception="",
            user_traceback="",
            hint="The training was to stop there. `%det_restore` goes back to a checkpoint; a lower learning rate often helps.",
        )


def _at_boundary(
    trainee: Trainee, plan: Plan, write_checkpoint: Callable[[], CheckpointRecord | None], is_best: Callable[[], bool]
) -> Steps:
    """Do what is due after a stretch of batches, in Determined's order: metrics, validation, checkpoint."""
    batches_trained = trainee.batches_trained
    validation_due = plan.is_validation_due(batches_trained)
    of_the_stretch = trainee.end_stretch()
    if validation_due or _is_checkpoint_due(trainee, plan) or of_the_stretch is not None:
        yield from _report(trainee, plan)
        yield of_the_stretch
    else:
        yield None
    if validation_due and trainee.validated_at != batches_trained:  # somebody may have asked for one meanwhile
        yield from _validate_and_keep(trainee, plan, write_checkpoint, is_best)
    checkpoint_due = _is_checkpoint_due(trainee, plan)  # asked after the callbacks of stretch and validation, which may end the training
    if checkpoint_due and trainee.checkpointed_at != batches_trained:
        yield from checkpoint(trainee, write_checkpoint)
    if validation_due or checkpoint_due:
        yield ActivityChanged(Activity.TRAINING)


def _is_checkpoint_due(trainee: Trainee, plan: Plan) -> bool:
    has_stopped = trainee.adapter.stop_requested and plan.ends_with_boundaries
    return has_stopped or plan.is_checkpoint_due(trainee.batches_trained)


def _validate_and_keep(
    trainee: Trainee, plan: Plan, write_checkpoint: Callable[[], CheckpointRecord | None], is_best: Callable[[], bool]
) -> Steps:
    """Validate, and save a checkpoint if the policy wants one of this validation."""
    yield from validate(trainee)
    wanted = plan.checkpoint_policy == "all" or (plan.checkpoint_policy == "best" and is_best())
    if wanted and trainee.checkpointed_at != trainee.batches_trained:
        yield from checkpoint(trainee, write_checkpoint)


def validate(trainee: Trainee) -> Steps:
    """Run one validation."""
    yield ActivityChanged(Activity.VALIDATING)
    next_report = time.monotonic() + REPORT_INTERVAL_S
    batches_trained, adapter = trainee.batches_trained, trainee.adapter
    steps = adapter.validate()
    while True:
        if trainee.adapter is not adapter:  # edited code took over: it validates from the beginning
            steps.close()
            adapter = trainee.adapter
            steps = adapter.validate()
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
