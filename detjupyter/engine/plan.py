"""The plan of a training: its length, and when to validate, save checkpoints and report."""

from __future__ import annotations

import sys
from collections.abc import Container
from dataclasses import dataclass, replace

from detjupyter.definition.config.keys import Settings
from detjupyter.errors import LengthError, TrialUsageError
from detjupyter.next_step import NextStep
from detjupyter.protocol.commands import Train
from detjupyter.protocol.lengths import Batch, CheckpointPolicy, Epoch, Length, Records

NEVER = sys.maxsize
"""A number of batches that no training reaches."""


EMPTY_DATA = "A loader with drop_last has no batch if the data is smaller than one batch."
"""What to look at if the training data is empty."""

_UNITS: dict[str, type[Batch] | type[Epoch] | type[Records]] = {"batches": Batch, "epochs": Epoch, "records": Records}
_ONE_UNIT = "Give exactly one of batches, epochs and records"
_EXAMPLE = f"For example {NextStep.TRAIN_EPOCHS(5)}."
_COUNT_BATCHES = f"Give the length and the periods in batches, for example {NextStep.TRAIN_BATCHES(100)}."


@dataclass(frozen=True, slots=True)
class Schedule:
    """The numbers of trained batches at which an action, such as a validation, is due. It is never due at 0.

    Attributes:
        numbers: A period, or a container of the numbers at which the action is due; both in units, counted from the trial's first batch.
        batches_per_unit: The batches of one unit: 1, or those of an epoch.
    """

    numbers: int | Container[int]
    batches_per_unit: int = 1

    def includes(self, batches_trained: int) -> bool:
        """Return whether the action is due after ``batches_trained`` batches."""
        units, rest = divmod(batches_trained, self.batches_per_unit)
        if rest or units < 1:
            return False
        return units % self.numbers == 0 if isinstance(self.numbers, int) else units in self.numbers

    def next_after(self, batches_trained: int, limit: int) -> int:
        """Return the next number of batches at which the action is due, :data:`NEVER` if there is none up to ``limit``."""
        units = batches_trained // self.batches_per_unit + 1
        if isinstance(self.numbers, int):
            due = (units + self.numbers - 1) // self.numbers * self.numbers * self.batches_per_unit
            return due if due <= limit else NEVER
        while units * self.batches_per_unit <= limit:  # a container need not be ordered, nor iterable
            if units in self.numbers:
                return units * self.batches_per_unit
            units += 1
        return NEVER


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one training. All positions are numbers of batches trained.

    Attributes:
        start: How many batches the trial was trained on before.
        target: How many batches it is trained on at the end.
        validate_at: When to validate during the training.
        checkpoint_at: When to save a checkpoint during the training.
        report_at: When a reporting period ends, for the trial's callbacks and custom reducers.
        initial_validation: Whether to validate before the first batch, if the trial is untrained.
        checkpoint_policy: After which validations to save a checkpoint: the ``best`` ones, ``all`` or ``none``.
        keeps_checkpoints: Whether the user requested the checkpoints, so that none of them is deleted later.
        stops_at_nan: Whether the training fails if a training metric becomes NaN or infinite.
        ends_with_boundaries: Whether the training ends with a validation and a checkpoint. A step does not.
    """

    start: int
    target: int
    validate_at: Schedule | None = None
    checkpoint_at: Schedule | None = None
    report_at: Schedule | None = None
    initial_validation: bool = False
    checkpoint_policy: CheckpointPolicy = "none"
    keeps_checkpoints: bool = False
    stops_at_nan: bool = False
    ends_with_boundaries: bool = True

    def next_boundary(self, batches_trained: int) -> int:
        """Return the next number of batches at which a validation, a checkpoint or a report is due; at most the target."""
        schedules = (self.validate_at, self.checkpoint_at, self.report_at)
        due = [schedule.next_after(batches_trained, self.target) for schedule in schedules if schedule is not None]
        return min([self.target, *due])

    def is_validation_due(self, batches_trained: int) -> bool:
        """Return whether a validation is due after ``batches_trained`` batches."""
        return self._is_due(self.validate_at, batches_trained)

    def is_checkpoint_due(self, batches_trained: int) -> bool:
        """Return whether a checkpoint is due after ``batches_trained`` batches."""
        return self._is_due(self.checkpoint_at, batches_trained)

    def _is_due(self, schedule: Schedule | None, batches_trained: int) -> bool:
        if batches_trained >= self.target and self.ends_with_boundaries:
            return True
        return schedule is not None and schedule.includes(batches_trained)


def training(*, batches: int | None = None, epochs: int | None = None, records: int | None = None) -> Train:
    """Return the command for a training, with a length in one of three units; without a length, the configuration's is used.

    Raises:
        LengthError: Several units are given, or the length is not a positive integer.
    """
    given = {"batches": batches, "epochs": epochs, "records": records}
    lengths = {name: value for name, value in given.items() if value is not None}
    if not lengths:
        return Train()
    if len(lengths) > 1:
        raise LengthError(f"{_ONE_UNIT}, not {' and '.join(lengths)}.", hint=_EXAMPLE)
    ((unit, value),) = lengths.items()
    if type(value) is not int or value < 1:
        raise LengthError(f"The length must be a positive integer, got {value!r} {unit}.")
    return Train(length=_UNITS[unit](value))


def with_defaults(train: Train, settings: Settings) -> Train:
    """Return ``train`` with the values of a configuration for all options that it does not set.

    Raises:
        LengthError: Neither has a length.
    """
    length, in_total = train.length, train.in_total
    if length is None:
        if settings.searcher_length is None:
            raise LengthError(f"{_ONE_UNIT}.", hint=_EXAMPLE)
        length, in_total = settings.searcher_length, True
    return replace(
        train,
        length=length,
        in_total=in_total,
        validate_every=settings.min_validation_period if train.validate_every is None else train.validate_every,
        checkpoint_every=settings.min_checkpoint_period if train.checkpoint_every is None else train.checkpoint_every,
        keeps_checkpoints=train.checkpoint_every is not None,
        report_every=Batch(settings.scheduling_unit) if train.report_every is None else train.report_every,
        checkpoint_policy=settings.checkpoint_policy,
        initial_validation=train.initial_validation or settings.perform_initial_validation,
        records_per_epoch=settings.records_per_epoch,
    )


def make_plan(train: Train, *, trained: int, batches_per_epoch: int | None, records_per_batch: int | None) -> Plan:
    """Return the plan for a training.

    Args:
        train: The command.
        trained: How many batches the trial is trained on already.
        batches_per_epoch: The batches of an epoch; None if that is unknown, or no length is in epochs.
        records_per_batch: The batch size; None if that is unknown, or no length is in records.

    Raises:
        LengthError: A length is missing, not positive, cannot be converted to batches, or is already reached.
        TrialUsageError: A length is in epochs, and the training data is empty.
    """
    data = _Data(batches_per_epoch, records_per_batch, train.records_per_epoch)
    if train.length is None:
        raise LengthError(f"{_ONE_UNIT}.")
    length = data.batches(train.length, "The length")
    if train.in_total and length <= trained and not train.ends_if_reached:
        hint = f"Say how much more to train, for example {NextStep.TRAIN_EPOCHS(1)}."
        raise LengthError(f"The {length:,} batches of the configuration are already trained.", hint=hint)
    validate_every = train.validate_every
    if validate_every is None and isinstance(train.length, Epoch) and train.validates_each_epoch:
        validate_every = Epoch(1)
    return Plan(
        start=trained,
        target=max(length, trained) if train.in_total else trained + length,  # more than `length` can be trained with ends_if_reached
        validate_at=data.schedule(validate_every, "validate_every"),
        checkpoint_at=data.schedule(train.checkpoint_every, "checkpoint_every"),
        report_at=data.schedule(train.report_every, "report_every"),
        initial_validation=train.initial_validation,
        checkpoint_policy=train.checkpoint_policy,
        keeps_checkpoints=train.keeps_checkpoints,
        stops_at_nan=train.stops_at_nan,
    )


def needs_data(train: Train) -> bool:
    """Return whether the lengths can be converted to batches only with the training data."""
    lengths = (train.length, train.validate_every, train.checkpoint_every, train.report_every)
    return any(isinstance(length, (Epoch, Records)) for length in lengths)


def check(train: Train) -> None:
    """Check the lengths as far as that is possible without the data.

    Raises:
        LengthError: A length is missing or not positive.
    """
    make_plan(replace(train, in_total=False), trained=0, batches_per_epoch=1, records_per_batch=1)


@dataclass(frozen=True, slots=True)
class _Data:
    """The sizes of the training data, None where unknown."""

    batches_per_epoch: int | None
    records_per_batch: int | None
    records_per_epoch: int  # the configuration's definition of an epoch; 0 for the length of the data

    def schedule(self, period: Length | None, name: str) -> Schedule | None:
        if period is None:
            return None
        value = getattr(period, "value", period)
        if isinstance(period, Records):
            return Schedule(self.batches(period, name))
        if isinstance(value, Container) and not isinstance(value, (str, bytes)):
            return Schedule(value, self._epochs(1) if isinstance(period, Epoch) else 1)
        if type(value) is not int or value < 1:
            raise LengthError(f"{name} must be a positive integer, got {value!r}.")
        if isinstance(period, Epoch):
            return Schedule(self._epochs(value)) if self.records_per_epoch else Schedule(value, self._epochs(1))
        return Schedule(value)

    def batches(self, length: Length, name: str) -> int:
        value = getattr(length, "value", length)
        if type(value) is not int or value < 1:
            raise LengthError(f"{name} must be a positive integer, got {value!r}.")
        if isinstance(length, Epoch):
            return self._epochs(value)
        if isinstance(length, Records):
            if not self.records_per_batch:
                raise LengthError("The data loader has no batch_size, so records cannot be counted.", hint=_COUNT_BATCHES)
            return max(value // self.records_per_batch, 1)
        return value

    def _epochs(self, count: int) -> int:
        """Return the batches of ``count`` epochs, by the configuration's ``records_per_epoch`` if it has one."""
        if self.records_per_epoch and self.records_per_batch:
            return max(count * self.records_per_epoch // self.records_per_batch, 1)
        if self.batches_per_epoch == 0:
            raise TrialUsageError("There are no training batches.", "The length of the training data is 0.", EMPTY_DATA)
        if self.batches_per_epoch is None:
            raise LengthError("The training data has no known length, so epochs cannot be counted.", hint=_COUNT_BATCHES)
        return count * self.batches_per_epoch
