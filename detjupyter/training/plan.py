"""How long to train, and when to validate and to write checkpoints on the way."""

from __future__ import annotations

from dataclasses import dataclass

from detjupyter.errors import SessionError


@dataclass(frozen=True, slots=True)
class Batch:
    """A length of ``value`` batches."""

    value: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """A length of ``value`` passes over the training data."""

    value: int


Length = Batch | Epoch | int


@dataclass(frozen=True, slots=True)
class Plan:
    """One training, in batches trained: from ``start`` (exclusive) to ``target`` (inclusive).

    ``validate_every`` and ``checkpoint_every`` are periods in batches, counted from batch 0 of the trial; None means only at the end.
    A plan that is not ``ends_with_boundaries`` (a step) neither validates nor checkpoints when it is through.
    """

    start: int
    target: int
    validate_every: int | None = None
    checkpoint_every: int | None = None
    ends_with_boundaries: bool = True

    def is_validation_due(self, batches_trained: int) -> bool:
        """Return whether a validation belongs after that many batches."""
        return self._is_due(self.validate_every, batches_trained)

    def is_checkpoint_due(self, batches_trained: int) -> bool:
        """Return whether a checkpoint belongs after that many batches."""
        return self._is_due(self.checkpoint_every, batches_trained)

    def _is_due(self, period: int | None, batches_trained: int) -> bool:
        if batches_trained >= self.target and self.ends_with_boundaries:
            return True
        return period is not None and batches_trained % period == 0


def make_plan(
    *,
    trained: int,
    batches_per_epoch: int | None,
    records_per_batch: int | None,
    batches: int | None,
    epochs: int | None,
    records: int | None,
    validate_every: Length | None,
    checkpoint_every: Length | None,
) -> Plan:
    """Return the plan that adds the given length to what is ``trained``. Trainings counted in epochs validate after each one by default.

    Raises:
        SessionError: none or several lengths are given, one is not positive, or it cannot be counted in batches.
    """
    given = {"batches": batches, "epochs": epochs, "records": records}
    lengths = {name: value for name, value in given.items() if value is not None}
    if len(lengths) != 1:
        raise SessionError(
            "Say how long to train in exactly one of batches, epochs and records"
            + (f", not in {' and '.join(lengths)}." if lengths else "."),
            hint="For example `%det_train --epochs 5`.",
        )
    ((unit, value),) = lengths.items()
    if type(value) is not int or value < 1:
        raise SessionError(f"A training is at least 1 long, not {value!r} {unit}.")
    if unit == "epochs":
        length = value * _per_epoch(batches_per_epoch)
        validate_every = Epoch(1) if validate_every is None else validate_every
    elif unit == "records":
        if not records_per_batch:
            raise SessionError("The data loader does not tell its batch size, so records cannot be counted.", hint="Use --batches.")
        length = max(value // records_per_batch, 1)
    else:
        length = value
    return Plan(
        start=trained,
        target=trained + length,
        validate_every=_period(validate_every, batches_per_epoch, "validate_every"),
        checkpoint_every=_period(checkpoint_every, batches_per_epoch, "checkpoint_every"),
    )


def _period(period: Length | None, batches_per_epoch: int | None, name: str) -> int | None:
    if period is None:
        return None
    value = period.value if isinstance(period, (Batch, Epoch)) else period
    if type(value) is not int or value < 1:
        raise SessionError(f"{name} is at least 1, not {value!r}.")
    return value * _per_epoch(batches_per_epoch) if isinstance(period, Epoch) else value


def _per_epoch(batches_per_epoch: int | None) -> int:
    if not batches_per_epoch:
        raise SessionError("The training data has no known length, so epochs cannot be counted.", hint="Use --batches.")
    return batches_per_epoch
