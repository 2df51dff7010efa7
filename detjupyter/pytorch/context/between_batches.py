"""The adapter's side of a context: steps the wrapped schedulers, the scaler and the profiler around a training and after a batch.

These methods are not part of the context, so that the user's object has only methods for trials.
"""

from __future__ import annotations

from typing import Any

from detjupyter.pytorch.context.context import PyTorchTrialContext
from detjupyter.pytorch.lr_scheduler import advance_all


class BetweenBatches:
    """The work of the adapter on a trial's context.

    Thread: the engine's.
    """

    def __init__(self, context: PyTorchTrialContext) -> None:
        self._context = context

    def begin_training(self, batches_trained: int) -> None:
        """Record where a training begins, and forget that the trial asked to stop the previous one."""
        self._context.stop_requested = False
        self._context.initial_batch = batches_trained

    @property
    def has_work(self) -> bool:
        """Whether :meth:`end_batch` does anything for this trial."""
        context = self._context
        return bool(context.lr_schedulers) or context._precision.is_automatic or context._profiler is not None

    def end_batch(self) -> None:
        """Step the schedulers that are due, update the scaler of automatic mixed precision, and step the profiler."""
        context, batch_idx = self._context, self._context.batch_idx
        context._precision.end_batch()
        frequency = context._optimization.frequency
        if context.lr_schedulers and batch_idx is not None and (batch_idx + 1) % frequency == 0:  # only after an update
            advance_all(context.lr_schedulers, batch_idx, context.batches_per_epoch, frequency)
        if context._profiler is not None:
            context._profiler.step()

    def begin_profiling(self) -> None:
        """Start the profiler, if the trial has set one."""
        if self._context._profiler is not None:
            self._context._profiler.start()

    @property
    def scalar_writer(self) -> Any:
        """The ``SummaryWriter`` that metrics are also written to; None if the trial has none, or has disabled this logging."""
        return self._context._writer if self._context._logs_to_tensorboard else None

    def end(self) -> None:
        """Stop the profiler and close the TensorBoard files, when the trial has ended."""
        profiler, self._context._profiler = self._context._profiler, None
        if profiler is not None:
            profiler.stop()
        if self._context._writer is not None:
            self._context._writer.close()
