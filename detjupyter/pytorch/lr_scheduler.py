"""Learning-rate schedulers, each with the points at which it is stepped."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from detjupyter.errors import TrialUsageError


class StepMode(Enum):
    """When a scheduler is stepped. The new learning rate applies from the next update on."""

    STEP_EVERY_EPOCH = 1
    STEP_EVERY_BATCH = 2
    MANUAL_STEP = 3
    STEP_EVERY_OPTIMIZER_STEP = 4


_NEEDED = ("step", "state_dict", "load_state_dict")
Mode = StepMode  # an alias: inside LRScheduler, the name StepMode is its attribute


class LRScheduler:
    """A torch scheduler, and when it is stepped.

    Args:
        scheduler: One of ``torch.optim.lr_scheduler``, or any object with ``step``, ``state_dict`` and ``load_state_dict``.
        step_mode: See :class:`StepMode`.
        frequency: Step at every ``frequency``-th epoch, batch or update.

    Raises:
        TrialUsageError: ``scheduler`` lacks a method, ``step_mode`` is no :class:`StepMode` or does not suit the scheduler, or
            ``frequency`` is less than 1.
    """

    StepMode = StepMode

    def __init__(self, scheduler: Any, step_mode: Mode, frequency: int = 1) -> None:
        missing = [name for name in _NEEDED if not callable(getattr(scheduler, name, None))]
        if missing:
            raise TrialUsageError(
                "A scheduler must have step(), state_dict() and load_state_dict().",
                f"This {type(scheduler).__name__} has no {' and no '.join(f'{name}()' for name in missing)}.",
            )
        if not isinstance(step_mode, Mode):
            raise TrialUsageError(
                "The step_mode of an LR scheduler must be one of LRScheduler.StepMode.",
                f"It is {step_mode!r}.",
                f"Choose from {', '.join(mode.name for mode in StepMode)}.",
            )
        if type(frequency) is not int or frequency < 1:
            raise TrialUsageError("The frequency of an LR scheduler must be a positive integer.", f"It is {frequency!r}.")
        if isinstance(scheduler, ReduceLROnPlateau) and step_mode is not StepMode.MANUAL_STEP:
            raise TrialUsageError(
                "The trial itself must step ReduceLROnPlateau, with a metric.",
                f"Its step_mode is {step_mode.name}.",
                "Use LRScheduler.StepMode.MANUAL_STEP, and call scheduler.step(metric), for example in a callback's on_validation_end().",
            )
        self._scheduler = scheduler
        self._step_mode = step_mode
        self._frequency = frequency

    def __repr__(self) -> str:
        return f"LRScheduler({type(self._scheduler).__name__}, {self._step_mode.name}, frequency={self._frequency})"

    @property
    def scheduler(self) -> Any:
        """The torch scheduler."""
        return self._scheduler

    def step(self, *args: Any, **kwargs: Any) -> None:
        """Step the scheduler now."""
        self._scheduler.step(*args, **kwargs)

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each parameter group."""
        rates: list[float] = self._scheduler.get_last_lr()
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state."""
        state: dict[str, Any] = self._scheduler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._scheduler.load_state_dict(state_dict)

    def advance(self, batch_idx: int, batches_per_epoch: int | None, aggregation: int) -> None:
        """Step as often as is due after an update that used the last ``aggregation`` batches up to and including ``batch_idx``."""
        for _ in range(self._steps_due(batch_idx, batches_per_epoch, aggregation)):
            self._scheduler.step()

    def _steps_due(self, batch_idx: int, batches_per_epoch: int | None, aggregation: int) -> int:
        if self._step_mode is StepMode.STEP_EVERY_OPTIMIZER_STEP:
            return int((batch_idx + 1) % self._frequency == 0)
        if self._step_mode is StepMode.STEP_EVERY_BATCH:
            return sum((index + 1) % self._frequency == 0 for index in range(batch_idx - aggregation + 1, batch_idx + 1))
        if self._step_mode is StepMode.STEP_EVERY_EPOCH and batches_per_epoch:
            # An epoch can end between two updates. It counts at the update before its end, since no update follows within the epoch.
            epochs = range(batch_idx // batches_per_epoch, (batch_idx + aggregation) // batches_per_epoch)
            return sum((epoch + 1) % self._frequency == 0 for epoch in epochs)
        return 0


def advance_all(schedulers: Sequence[LRScheduler], batch_idx: int, batches_per_epoch: int | None, aggregation: int) -> None:
    """Step the schedulers that are due after an update; those with MANUAL_STEP are left to the trial."""
    for scheduler in schedulers:
        scheduler.advance(batch_idx, batches_per_epoch, aggregation)
