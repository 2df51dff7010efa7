"""The training loop: one generator for all frameworks.

It yields an :data:`~detjupyter.protocol.events.Event` to report something, and None if a request is waiting. At every yield the trial is
between two batches, so the caller can pause, step, save or inspect it. The loop knows no thread, no view and no store, so the same
generator runs in a kernel, in a script and in a worker process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from detjupyter.engine.plan import Plan
from detjupyter.engine.progress import TrainingProgress
from detjupyter.errors import TrialError
from detjupyter.next_step import NextStep
from detjupyter.protocol.events import ActivityChanged, Checkpointed, Event, Validated
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import Activity

REPORT_INTERVAL_S = 0.1
"""Metrics are fetched from the device this often, for all batches of the interval at once."""

SAVE_INTERVAL_S = 300.0
"""A training without a checkpoint for so long saves one, so that a kernel that dies loses no more. Newer ones replace it."""

Steps = Generator[Event | None, None, None]
WriteCheckpoint = Callable[[], CheckpointRecord | None]
"""Saves the trial; returns None if the files are still being written, or if the checkpoint failed and the training continues."""


def train(
    progress: TrainingProgress,
    plan: Plan,
    write_checkpoint: WriteCheckpoint,
    is_best: Callable[[], bool] = lambda: False,
) -> Steps:
    """Train to the end of ``plan``, with validations and checkpoints. The training ends early if the trial asks to stop.

    Exceptions of the user's code are raised unchanged; :meth:`TrainingProgress.report` then still returns the metrics of earlier batches.

    Args:
        progress: The trial.
        plan: The plan of the training.
        write_checkpoint: Saves the trial.
        is_best: Returns whether the newest validation is the best so far.
    """
    yield ActivityChanged(Activity.TRAINING)
    progress.not_finite = None
    progress.adapter.begin(progress.batches_trained)
    if plan.initial_validation and progress.batches_trained == 0 and progress.validated_at is None:
        yield from _validate_and_keep(progress, plan, write_checkpoint, is_best)
        yield ActivityChanged(Activity.TRAINING)
    overdue = _Overdue(progress, plan)
    next_report = time.monotonic() + REPORT_INTERVAL_S
    while progress.batches_trained < plan.target and not progress.adapter.stop_requested:
        boundary = plan.next_boundary(progress.batches_trained)
        while progress.batches_trained < boundary and not progress.adapter.stop_requested:
            progress.train_until(boundary, next_report)
            if time.monotonic() >= next_report:
                yield from _report(progress, plan)
                next_report = time.monotonic() + REPORT_INTERVAL_S
                if progress.batches_trained < boundary:
                    yield from overdue.save(write_checkpoint)
            elif progress.batches_trained < boundary:
                yield None
                _stop_at_nan(progress, plan)  # executing the request may have reported the metrics
        yield from _at_boundary(progress, plan, write_checkpoint, is_best)
        yield from overdue.save(write_checkpoint)
    # All batches are trained already: the end still has a validation and a checkpoint, but not what was restored from that checkpoint.
    if plan.start == plan.target != progress.restored_at:
        yield from _at_boundary(progress, plan, write_checkpoint, is_best)
    yield from _report(progress, plan)


class _Overdue:
    """Tells when a training has had no checkpoint for :data:`SAVE_INTERVAL_S`."""

    def __init__(self, progress: TrainingProgress, plan: Plan) -> None:
        self._progress = progress
        self._is_wanted = plan.checkpoint_policy != "none" and plan.ends_with_boundaries
        self._wait()

    def save(self, write_checkpoint: WriteCheckpoint) -> Steps:
        """Save a checkpoint if one is overdue."""
        if self._progress.checkpointed_at != self._saved_at:
            self._wait()
        elif self._is_wanted and time.monotonic() >= self._due and self._progress.checkpointed_at != self._progress.batches_trained:
            yield from checkpoint(self._progress, write_checkpoint)
            yield ActivityChanged(Activity.TRAINING)
            self._wait()

    def _wait(self) -> None:
        self._saved_at = self._progress.checkpointed_at
        self._due = time.monotonic() + SAVE_INTERVAL_S


def _report(progress: TrainingProgress, plan: Plan) -> Steps:
    """Report the metrics since the last report, and raise if the plan stops at NaN and one of them is NaN or infinite."""
    yield progress.report()
    _stop_at_nan(progress, plan)


def _stop_at_nan(progress: TrainingProgress, plan: Plan) -> None:
    if plan.stops_at_nan and progress.not_finite is not None:
        batch, name = progress.not_finite
        restore = NextStep.RESTORE("latest")
        raise TrialError(
            f"{name} became NaN or infinite at batch {batch:,}.",
            hint=f"This training stops at such a value. {restore} restores the last checkpoint; a lower learning rate often helps.",
        )


def _at_boundary(progress: TrainingProgress, plan: Plan, write_checkpoint: WriteCheckpoint, is_best: Callable[[], bool]) -> Steps:
    """End the reporting period, and do what is due at this boundary, in Determined's order: metrics, validation, checkpoint."""
    batches_trained = progress.batches_trained
    validation_due = plan.is_validation_due(batches_trained)
    period_metrics = progress.end_report_period()
    if validation_due or _is_checkpoint_due(progress, plan) or period_metrics is not None:
        yield from _report(progress, plan)
        yield period_metrics
    else:
        yield None
    if validation_due and progress.validated_at != batches_trained:  # a command may have validated at the yield above
        yield from _validate_and_keep(progress, plan, write_checkpoint, is_best)
    checkpoint_due = _is_checkpoint_due(progress, plan)  # again: callbacks of the period and the validation can request a stop
    if checkpoint_due and progress.checkpointed_at != batches_trained:
        yield from checkpoint(progress, write_checkpoint)
    if validation_due or checkpoint_due:
        yield ActivityChanged(Activity.TRAINING)


def _is_checkpoint_due(progress: TrainingProgress, plan: Plan) -> bool:
    has_stopped = progress.adapter.stop_requested and plan.ends_with_boundaries
    return has_stopped or plan.is_checkpoint_due(progress.batches_trained)


def _validate_and_keep(progress: TrainingProgress, plan: Plan, write_checkpoint: WriteCheckpoint, is_best: Callable[[], bool]) -> Steps:
    """Validate, and save a checkpoint if the policy requires one after this validation."""
    yield from validate(progress)
    wanted = plan.checkpoint_policy == "all" or (plan.checkpoint_policy == "best" and is_best())
    if wanted and progress.checkpointed_at != progress.batches_trained:
        yield from checkpoint(progress, write_checkpoint)


def validate(progress: TrainingProgress) -> Steps:
    """Run one validation."""
    yield ActivityChanged(Activity.VALIDATING)
    next_report = time.monotonic() + REPORT_INTERVAL_S
    batches_trained, adapter = progress.batches_trained, progress.adapter
    steps = adapter.validate()
    while True:
        if progress.adapter is not adapter:  # a reload has replaced the trial: restart the validation with the new code
            steps.close()
            adapter = progress.adapter
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
    progress.validated_at = batches_trained
    progress.unrecorded.of_report("validation", metrics)
    yield Validated(batches_trained, metrics)


def checkpoint(progress: TrainingProgress, write_checkpoint: WriteCheckpoint) -> Steps:
    """Write one checkpoint."""
    yield ActivityChanged(Activity.CHECKPOINTING)
    record = write_checkpoint()
    if record is not None:
        progress.checkpointed_at = progress.batches_trained
        yield Checkpointed(record, is_current=True)
