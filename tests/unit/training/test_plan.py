"""Lengths and periods of a training."""

from __future__ import annotations

from typing import Any

import pytest

from detjupyter.errors import SessionError
from detjupyter.training.plan import Batch, Epoch, Plan, make_plan


def plan(**given: Any) -> Plan:
    """Make a plan at batch 7 of data with 10 batches of 4 records."""
    known = {"trained": 7, "batches_per_epoch": 10, "records_per_batch": 4}
    nothing = dict.fromkeys(("batches", "epochs", "records", "validate_every", "checkpoint_every"))
    return make_plan(**{**nothing, **known, **given})


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
    assert plan(batches=1, validate_every=period, checkpoint_every=Epoch(2)) == Plan(7, 8, validate_every=5, checkpoint_every=20)


def test_epochs_validate_after_each_one_by_default() -> None:
    """Batches do not; a period that is given wins."""
    assert plan(epochs=1).validate_every == 10
    assert plan(batches=1).validate_every is None
    assert plan(epochs=1, validate_every=3).validate_every == 3


def test_boundaries_are_multiples_of_the_period_and_the_end() -> None:
    """Batch 0 of the trial is where counting starts; the end is always a boundary."""
    made = Plan(7, 23, validate_every=5)
    assert [batch for batch in range(8, 24) if made.is_validation_due(batch)] == [10, 15, 20, 23]
    assert [batch for batch in range(8, 24) if made.is_checkpoint_due(batch)] == [23]


def test_a_step_has_no_boundary_at_its_end() -> None:
    """Nothing is due after it."""
    made = Plan(0, 2, ends_with_boundaries=False)
    assert not made.is_validation_due(2)
    assert not made.is_checkpoint_due(2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "exactly one of batches, epochs and records"),
        ({"batches": 1, "epochs": 1}, "not in batches and epochs"),
        ({"batches": 0}, "not 0 batches"),
        ({"epochs": -1}, "not -1 epochs"),
        ({"records": 1.5}, "not 1.5 records"),
        ({"batches": True}, "not True batches"),
        ({"batches": 1, "validate_every": 0}, "validate_every is at least 1, not 0"),
        ({"batches": 1, "checkpoint_every": Epoch(0)}, "checkpoint_every is at least 1, not 0"),
        ({"epochs": 1, "batches_per_epoch": None}, "no known length"),
        ({"epochs": 1, "batches_per_epoch": 0}, "no known length"),
        ({"batches": 1, "validate_every": Epoch(1), "batches_per_epoch": None}, "no known length"),
        ({"records": 9, "records_per_batch": None}, "batch size"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], words: str) -> None:
    """The message names the value."""
    with pytest.raises(SessionError, match=words):
        plan(**given)
