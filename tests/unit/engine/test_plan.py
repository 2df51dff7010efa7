"""Lengths and periods of a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detjupyter.definition.config.keys import Settings
from detjupyter.engine.plan import NEVER, Plan, Schedule, make_plan, training, with_defaults
from detjupyter.errors import LengthError, TrialUsageError
from detjupyter.protocol.commands import Train
from detjupyter.protocol.lengths import Batch, Epoch, Records


def plan(**given: Any) -> Plan:
    """Make a plan at batch 7 of data with 10 batches of 4 records."""
    data = {name: given.pop(name, known) for name, known in (("batches_per_epoch", 10), ("records_per_batch", 4))}
    lengths = {name: given.pop(name, None) for name in ("batches", "epochs", "records")}
    return make_plan(replace(training(**lengths), **given), trained=7, **data)


@pytest.mark.parametrize(
    ("given", "length"),
    [({"batches": 3}, 3), ({"epochs": 2}, 20), ({"records": 40}, 10), ({"records": 43}, 10), ({"records": 1}, 1)],
)
def test_a_length_adds_to_what_is_trained(given: dict[str, int], length: int) -> None:
    """Epochs and records are counted in batches; part of a batch counts as none, but at least one batch is trained."""
    made = plan(**given)
    assert (made.start, made.target) == (7, 7 + length)


@pytest.mark.parametrize("period", [5, Batch(5)])
def test_a_period_is_in_batches_unless_it_says_epochs(period: Any) -> None:
    """An int and Batch mean the same."""
    assert plan(batches=1, validate_every=period, checkpoint_every=Epoch(2)) == Plan(
        7, 8, validate_at=Schedule(5), checkpoint_at=Schedule(2, batches_per_unit=10)
    )


def test_epochs_validate_after_each_one_by_default() -> None:
    """Batches do not; a period that is given wins."""
    assert plan(epochs=1).validate_at == Schedule(1, 10)
    assert plan(batches=1).validate_at is None
    assert plan(epochs=1, validate_every=3).validate_at == Schedule(3)


def test_boundaries_are_multiples_of_the_period_and_the_end() -> None:
    """Batch 0 of the trial is where counting starts; the end is always a boundary."""
    made = Plan(7, 23, validate_at=Schedule(5))
    assert [batch for batch in range(8, 24) if made.is_validation_due(batch)] == [10, 15, 20, 23]
    assert [batch for batch in range(8, 24) if made.is_checkpoint_due(batch)] == [23]


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        (Schedule(5), [5, 10, 15, 20, 25, 30]),
        (Schedule(1, 10), [10, 20, 30]),
        (Schedule({2, 3, 11}), [2, 3, 11]),
        (Schedule(range(0, 100, 9)), [9, 18, 27]),
        (Schedule((1, 3), 10), [10, 30]),
        (Schedule({0, -1, 99}), []),
    ],
)
def test_the_next_boundary_is_the_first_at_which_something_is_due(schedule: Schedule, due: list[int]) -> None:
    """Asking for the next one and asking at every batch come to the same."""
    assert [batch for batch in range(31) if schedule.includes(batch)] == due
    at, found = 0, []
    while (at := schedule.next_after(at, 30)) != NEVER:
        found.append(at)
    assert found == due
    both = Plan(0, 30, validate_at=schedule, report_at=Schedule(8))
    assert both.next_boundary(8) == min([batch for batch in due if batch > 8] + [16])


def test_a_configuration_says_what_nobody_else_does() -> None:
    """Its length is in total, not added; what a call says wins."""
    settings = Settings(
        searcher_length=Epoch(3),
        min_validation_period=Records(80),
        min_checkpoint_period=Batch(6),
        checkpoint_policy="all",
        perform_initial_validation=True,
        scheduling_unit=50,
    )
    made = make_plan(with_defaults(Train(), settings), trained=7, batches_per_epoch=10, records_per_batch=4)
    assert made == Plan(7, 30, Schedule(20), Schedule(6), Schedule(50), initial_validation=True, checkpoint_policy="all")
    other = with_defaults(replace(training(batches=2), validate_every=Epoch(1)), settings)
    assert make_plan(other, trained=7, batches_per_epoch=10, records_per_batch=4).target == 9
    assert other.validate_every == Epoch(1)


def test_what_is_reached_already_says_so() -> None:
    """A training to the configuration's length that is through asks how much more."""
    options = with_defaults(Train(), Settings(searcher_length=Batch(5)))
    with pytest.raises(LengthError, match="already trained"):
        make_plan(options, trained=5, batches_per_epoch=10, records_per_batch=4)


def test_an_epoch_is_what_the_configuration_calls_one() -> None:
    """records_per_epoch counts lengths and periods, as it did when configs had to say it."""
    settings = Settings(records_per_epoch=30, min_validation_period=Epoch(2))
    made = with_defaults(training(epochs=2), settings)
    plan = make_plan(made, trained=0, batches_per_epoch=10, records_per_batch=4)
    assert (plan.target, plan.validate_at) == (15, Schedule(15))


def test_a_step_has_no_boundary_at_its_end() -> None:
    """Nothing is due after it."""
    made = Plan(0, 2, ends_with_boundaries=False)
    assert not made.is_validation_due(2)
    assert not made.is_checkpoint_due(2)


def test_empty_data_has_no_epochs() -> None:
    """A length of 0 is not an unknown length."""
    with pytest.raises(TrialUsageError, match="no training batches"):
        plan(epochs=1, batches_per_epoch=0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of batches, epochs and records"),
        ({"batches": 1, "epochs": 1}, "not batches and epochs"),
        ({"batches": 0}, "got 0 batches"),
        ({"epochs": -1}, "got -1 epochs"),
        ({"records": 1.5}, "got 1.5 records"),
        ({"batches": True}, "got True batches"),
        ({"batches": 1, "validate_every": 0}, "validate_every must be a positive integer, got 0"),
        ({"batches": 1, "checkpoint_every": Epoch(0)}, "checkpoint_every must be a positive integer, got 0"),
        ({"epochs": 1, "batches_per_epoch": None}, "no known length"),
        ({"batches": 1, "validate_every": Epoch(1), "batches_per_epoch": None}, "no known length"),
        ({"records": 9, "records_per_batch": None}, "no batch_size"),
    ],
)
def test_a_length_that_cannot_be_planned_is_refused(given: dict[str, Any], words: str) -> None:
    """The message names the value."""
    with pytest.raises(LengthError, match=words):
        plan(**given)
