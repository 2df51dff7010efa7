"""How long to train, and when to validate, to save checkpoints and to report on the way."""

from __future__ import annotations

import sys
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Literal

from detjupyter.definition.config.keys import Length as ConfigLength
from detjupyter.definition.config.keys import Settings
from detjupyter.errors import SessionError

NEVER = sys.maxsize
CheckpointPolicy = Literal["best", "all", "none"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A length of ``value`` batches; as a period also a container of those batches, counted from 1, at which something is due."""

    value: int | Container[int]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A length of ``value`` passes over the training data; as a period also a container of those passes, counted from 1."""

    value: int | Container[int]


@dataclass(frozen=True, slots=True)
class Records:
    """A length of ``value`` records: whole batches of it, at least one."""

    value: int


Length = Batch | Epoch | Records | int
_UNITS: dict[str, type[Batch] | type[Epoch] | type[Records]] = {"batches": Batch, "epochs": Epoch, "records": Records}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The numbers of batches trained at which something is due.

    ``numbers`` are counted in units of ``batches_per_unit`` batches (1, or an epoch) from the first batch of the trial: an int is a
    period, a container holds those at which it is due. Nothing is ever due at 0.
    """

    numbers: int | Container[int]
    batches_per_unit: int = 1

    def includes(self, batches_trained: int) -> bool:
        """Return whether it is due after that many batches."""
        units, rest = divmod(batches_trained, self.batches_per_unit)
        if rest or units < 1:
            return False
        return units % self.numbers == 0 if isinstance(self.numbers, int) else units in self.numbers

    def next_after(self, batches_trained: int, limit: int) -> int:
        """Return the next number of batches at which it is due, :data:`NEVER` if there is none up to ``limit``."""
        units = batches_trained // self.batches_per_unit + 1
        if isinstance(self.numbers, int):
            due = (units + self.numbers - 1) // self.numbers * self.numbers * self.batches_per_unit
            return due if due <= limit else NEVER
        while units * self.batches_per_unit <= limit:
            if units in self.numbers:
                return units * self.batches_per_unit
            units += 1
        return NEVER


@dataclass(frozen=True, slots=True)
class Plan:
    """One training, in batches trained: from ``start`` (exclusive) to ``target`` (inclusive).

    Attributes:
        start: Where the trial stands.
        target: Where it ends.
        validate_at: When to validate on the way.
        checkpoint_at: When to save a checkpoint on the way.
        report_at: When a stretch ends for the trial's callbacks and custom reducers.
        initial_validation: Whether to validate before the first batch, if the trial is untrained.
        checkpoint_policy: Whether a validation is followed by a checkpoint: if it was the ``best`` so far, always, or never.
        keeps_checkpoints: Whether a person asked for its checkpoints, so that none of them is deleted later.
        stops_at_nan: Whether a training metric that is NaN or infinite ends it as an error.
        ends_with_boundaries: Whether the end is a validation and a checkpoint. It is not for a step.
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
        """Return the next number of batches at which there is something to do besides training; at most the target."""
        schedules = (self.validate_at, self.checkpoint_at, self.report_at)
        due = [schedule.next_after(batches_trained, self.target) for schedule in schedules if schedule is not None]
        return min([self.target, *due])

    def is_validation_due(self, batches_trained: int) -> bool:
        """Return whether a validation belongs after that many batches."""
        return self._is_due(self.validate_at, batches_trained)

    def is_checkpoint_due(self, batches_trained: int) -> bool:
        """Return whether a checkpoint belongs after that many batches."""
        return self._is_due(self.checkpoint_at, batches_trained)

    def _is_due(self, schedule: Schedule | None, batches_trained: int) -> bool:
        if batches_trained >= self.target and self.ends_with_boundaries:
            return True
        return schedule is not None and schedule.includes(batches_trained)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """A training as a person asks for it, before the data tells what an epoch is.

    Attributes:
        length: How long; None for what the configuration says.
        in_total: Whether the length counts from the trial's first batch; else it is added to what is trained.
        validate_every: When to validate; None: after each epoch if the length is in epochs, else at the end only.
        checkpoint_every: When to save a checkpoint; None: at the end only.
        report_every: When a stretch ends; None: at the other boundaries only.
        checkpoint_policy: See :class:`Plan`.
        initial_validation: See :class:`Plan`.
        keeps_checkpoints: See :class:`Plan`; so it is if ``checkpoint_every`` is given here, and not by a configuration.
        stops_at_nan: See :class:`Plan`.
        ends_if_reached: Whether a length in total that is reached already is a training of nothing, and not an error.
        validates_each_epoch: Whether a length in epochs validates after each of them where nothing else is said.
        records_per_epoch: What the configuration calls an epoch; 0: one pass over the data.
    """

    length: Length | None = None
    in_total: bool = False
    validate_every: Length | None = None
    checkpoint_every: Length | None = None
    report_every: Length | None = None
    checkpoint_policy: CheckpointPolicy = "none"
    initial_validation: bool = False
    keeps_checkpoints: bool = False
    stops_at_nan: bool = False
    ends_if_reached: bool = False
    validates_each_epoch: bool = True
    records_per_epoch: int = 0

    @classmethod
    def of(cls, *, batches: int | None, epochs: int | None, records: int | None) -> TrainingOptions:
        """Return the options of a length that is told in one of three units, or in none.

        Raises:
            SessionError: several are given, or one is not a whole number of at least 1.
        """
        given = {"batches": batches, "epochs": epochs, "records": records}
        lengths = {name: value for name, value in given.items() if value is not None}
        if not lengths:
            return cls()
        if len(lengths) > 1:
            raise SessionError(
                f"Say how long to train in exactly one of batches, epochs and records, not in {' and '.join(lengths)}.",
                hint="For example `%det_train --epochs 5`.",
            )
        ((unit, value),) = lengths.items()
        if type(value) is not int or value < 1:
            raise SessionError(f"A training is at least 1 long, not {value!r} {unit}.")
        return cls(length=_UNITS[unit](value))

    def with_defaults(self, settings: Settings) -> TrainingOptions:
        """Return the same with what a configuration says where nothing else is said.

        Raises:
            SessionError: neither says how long to train.
        """
        length, in_total = self.length, self.in_total
        if length is None:
            if settings.searcher_length is None:
                raise SessionError(
                    "Say how long to train in exactly one of batches, epochs and records.", hint="For example `%det_train --epochs 5`."
                )
            length, in_total = _from_config(settings.searcher_length), True
        validate_every, checkpoint_every = self.validate_every, self.checkpoint_every
        if validate_every is None and settings.min_validation_period is not None:
            validate_every = _from_config(settings.min_validation_period)
        if checkpoint_every is None and settings.min_checkpoint_period is not None:
            checkpoint_every = _from_config(settings.min_checkpoint_period)
        return replace(
            self,
            length=length,
            in_total=in_total,
            validate_every=validate_every,
            checkpoint_every=checkpoint_every,
            keeps_checkpoints=self.checkpoint_every is not None,
            report_every=Batch(settings.scheduling_unit) if self.report_every is None else self.report_every,
            checkpoint_policy=settings.checkpoint_policy,
            initial_validation=self.initial_validation or settings.perform_initial_validation,
            records_per_epoch=settings.records_per_epoch,
        )

    def plan(self, *, trained: int, batches_per_epoch: int | None, records_per_batch: int | None) -> Plan:
        """Return the plan for a trial that was ``trained`` for so many batches on data of that shape.

        Raises:
            SessionError: a length is missing or not positive, cannot be counted in batches, or is reached already.
        """
        data = _Data(batches_per_epoch, records_per_batch, self.records_per_epoch)
        if self.length is None:
            raise SessionError("Say how long to train in exactly one of batches, epochs and records.")
        length = data.batches(self.length, "A training")
        if self.in_total and length <= trained and not self.ends_if_reached:
            raise SessionError(
                f"The {length:,} batches of the configuration are trained already.", hint="Say how much more, for example `--epochs 1`."
            )
        validate_every = self.validate_every
        if validate_every is None and isinstance(self.length, Epoch) and self.validates_each_epoch:
            validate_every = Epoch(1)
        return Plan(
            start=trained,
            target=max(length, trained) if self.in_total else trained + length,
            validate_at=data.schedule(validate_every, "validate_every"),
            checkpoint_at=data.schedule(self.checkpoint_every, "checkpoint_every"),
            report_at=data.schedule(self.report_every, "report_every"),
            initial_validation=self.initial_validation,
            checkpoint_policy=self.checkpoint_policy,
            keeps_checkpoints=self.keeps_checkpoints,
            stops_at_nan=self.stops_at_nan,
        )

    def check(self) -> None:
        """Say now what is wrong with the lengths, whatever the data may be.

        Raises:
            SessionError: one is not positive.
        """
        replace(self, in_total=False).plan(trained=0, batches_per_epoch=1, records_per_batch=1)


@dataclass(frozen=True, slots=True)
class _Data:
    """The shape of the training data, as far as it is known."""

    batches_per_epoch: int | None
    records_per_batch: int | None
    records_per_epoch: int  # what the configuration calls an epoch, 0 for one pass

    def schedule(self, period: Length | None, name: str) -> Schedule | None:
        if period is None:
            return None
        value = period if isinstance(period, int) else period.value
        if isinstance(period, Records):
            return Schedule(self.batches(period, name))
        if isinstance(value, Container):
            return Schedule(value, self._epochs(1) if isinstance(period, Epoch) else 1)
        if type(value) is not int or value < 1:
            raise SessionError(f"{name} is at least 1, not {value!r}.")
        if isinstance(period, Epoch):
            return Schedule(self._epochs(value)) if self.records_per_epoch else Schedule(value, self._epochs(1))
        return Schedule(value)

    def batches(self, length: Length, name: str) -> int:
        value = length if isinstance(length, int) else length.value
        if type(value) is not int or value < 1:
            raise SessionError(f"{name} is at least 1 long, not {value!r}.")
        if isinstance(length, Epoch):
            return self._epochs(value)
        if isinstance(length, Records):
            if not self.records_per_batch:
                raise SessionError("The data loader does not tell its batch size, so records cannot be counted.", hint="Use --batches.")
            return max(value // self.records_per_batch, 1)
        return value

    def _epochs(self, count: int) -> int:
        """Return the batches of so many epochs, by the configuration's count of records if it has one."""
        if self.records_per_epoch and self.records_per_batch:
            return max(count * self.records_per_epoch // self.records_per_batch, 1)
        if not self.batches_per_epoch:
            raise SessionError("The training data has no known length, so epochs cannot be counted.", hint="Use --batches.")
        return count * self.batches_per_epoch


def _from_config(length: ConfigLength) -> Length:
    return _UNITS[length.unit](length.amount)
