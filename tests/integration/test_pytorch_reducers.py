"""Metrics that users reduce themselves, over reporting periods and over validations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.contexts import context
from support.definition import Definition

from detjupyter.errors import ReducerError, TrialError
from detjupyter.pytorch import MetricReducer
from detjupyter.pytorch.custom_reducers import CustomReducers


class Largest(MetricReducer):
    """The largest value; counts how often it was reset."""

    def __init__(self, result: Any = None) -> None:
        self.resets = 0
        self.result = result
        self.largest: float | None = None

    def reset(self) -> None:
        """Reset the value and count the reset."""
        self.resets += 1
        self.largest = None

    def update(self, value: float, *, weight: float = 1.0) -> None:
        """Take any arguments."""
        self.largest = value * weight if self.largest is None else max(self.largest, value * weight)

    def per_slot_reduce(self) -> Any:
        """Return what there is."""
        return self.largest

    def cross_slot_reduce(self, per_slot_metrics: list[Any]) -> Any:
        """Return the largest of all."""
        assert len(per_slot_metrics) == 1
        return per_slot_metrics[0] if self.result is None else self.result


class TestReducing:
    """Classes and functions."""

    def test_a_class_gets_its_updates_as_they_are(self) -> None:
        """``update`` may have any arguments, and wrapping returns the same object."""
        reducers = CustomReducers()
        largest = Largest()
        assert reducers.wrap(largest, name="largest") is largest
        largest.update(2.0)
        largest.update(1.5, weight=2.0)
        assert reducers.reduce(training=True) == reducers.reduce(training=False) == {"largest": 3.0}

    def test_a_function_gets_the_list_of_all_updates(self) -> None:
        """In their order; the list is empty after a reset."""
        reducers = CustomReducers()
        mean = reducers.wrap(lambda values: sum(values) / max(len(values), 1), name="mean")
        for value in (1.0, 2.0, 6.0):
            mean.update(value)
        assert reducers.reduce(training=True) == {"mean": 3.0}
        reducers.reset(training=True)
        assert reducers.reduce(training=True) == {"mean": 0.0}

    def test_without_a_name_it_returns_several_metrics(self) -> None:
        """The names are the dict's."""
        reducers = CustomReducers()
        reducers.wrap(lambda values: {"low": min(values), "high": max(values)}).update(4.0)
        assert reducers.reduce(training=True) == {"low": 4.0, "high": 4.0}

    def test_tensors_come_to_the_host(self) -> None:
        """Tensors are transferred if passed by name or in a dict; other values do not change."""
        reducers = CustomReducers()
        reducers.wrap(torch.stack, name="stacked").update(torch.tensor(1.0, requires_grad=True))
        reducers.wrap(lambda values: {"first": values[0], "text": "kept"}).update(torch.tensor([2, 3]))
        metrics = reducers.reduce(training=True)
        np.testing.assert_array_equal(metrics["stacked"], [1.0])
        np.testing.assert_array_equal(metrics["first"], [2.0, 3.0])
        assert metrics["text"] == "kept"

    def test_some_are_for_training_and_some_for_validation(self) -> None:
        """Each is reset and reduced in its own phase; reducers for both phases can be distinguished from the others."""
        reducers = CustomReducers()
        training, validation, both = Largest(1.0), Largest(2.0), Largest(3.0)
        reducers.wrap(training, name="training", for_validation=False)
        reducers.wrap(validation, name="validation", for_training=False)
        reducers.wrap(both, name="both")
        assert reducers.reduce(training=True) == {"training": 1.0, "both": 3.0}
        assert reducers.reduce(training=False) == {"validation": 2.0, "both": 3.0}
        before = [one.resets for one in (training, validation, both)]
        reducers.reset(training=True)
        reducers.reset(training=False)
        reducers.reset_shared()
        assert [one.resets - then for one, then in zip((training, validation, both), before, strict=True)] == [1, 1, 3]

    def test_without_reducers_there_is_nothing(self) -> None:
        """An empty dict, and nothing that is true."""
        assert not CustomReducers()
        assert CustomReducers().reduce(training=True) == {}


class TestRules:
    """What breaks one is an AssertionError, as in Determined, and an error of ours."""

    def test_one_without_a_name_returns_a_dict(self) -> None:
        """In Determined's words."""
        reducers = CustomReducers()
        reducers.wrap(Largest(1.0))
        with pytest.raises(AssertionError, match="name=None but it did not return a dict") as raised:
            reducers.reduce(training=True)
        assert isinstance(raised.value, TrialError)
        assert "It returned float" in str(raised.value)

    def test_one_with_a_name_returns_none(self) -> None:
        """It would have two names."""
        reducers = CustomReducers()
        reducers.wrap(Largest({"a": 1.0}), name="mine")
        with pytest.raises(AssertionError, match="name='mine' but it returned a dict anyway"):
            reducers.reduce(training=True)

    def test_one_object_is_wrapped_once(self) -> None:
        """Two metrics need two objects; of a function there may be several."""
        reducers = CustomReducers()
        largest = Largest()
        reducers.wrap(largest, name="a")
        with pytest.raises(AssertionError, match="wrapped already"):
            reducers.wrap(largest, name="b")
        assert reducers.wrap(max, name="c") is not reducers.wrap(max, name="d")

    @pytest.mark.parametrize(
        ("given", "words"), [((5,), "not int"), ((Largest,), "the class Largest"), ((Largest(), 7), "got 7"), ((None, "mine"), "NoneType")]
    )
    def test_what_is_no_reducer_is_refused(self, given: tuple[Any, ...], words: str) -> None:
        """By what it is."""
        with pytest.raises(ReducerError, match=words):
            CustomReducers().wrap(*given)


class TestInATraining:
    """Reporting periods and validations."""

    def reducing(self, line: Definition, wrap: str, *, train: str = "", evaluate: str = "", **given: Any) -> Any:
        """Load the line with a reducer ``self.mine``, updated by these statements."""
        line.edit("    def build_training", f"        self.mine = context.wrap_reducer({wrap})\n\n    def build_training")
        line.edit('return {"loss"', f'{train or "pass"}\n        return {{"loss"')
        line.edit('return {"error"', f'{evaluate or "pass"}\n        return {{"error"')
        return line.load(**given)

    def test_a_reporting_period_counts_its_own_batches(self, line: Definition) -> None:
        """From validation to validation, and none of another's."""
        session = self.reducing(line, "len, name='count', for_validation=False", train="self.mine.update(1)")
        session.train(batches=8, validate_every=3, wait=True)
        assert [values.tolist() for values in session.metrics("count")] == [[3, 6, 8], [3.0, 3.0, 2.0]]

    def test_a_validation_counts_its_own_batches(self, line: Definition) -> None:
        """The count is reset for each validation."""
        session = self.reducing(line, "len, name='count', for_training=False", evaluate="self.mine.update(1)")
        session.train(batches=4, validate_every=2, wait=True)
        assert session.metrics("count", "validation")[1].tolist() == [2.0, 2.0]

    def test_its_metric_takes_the_place_of_one_of_the_same_name(self, line: Definition) -> None:
        """As it is merged later."""
        session = self.reducing(line, "lambda values: -1.0, name='error'")
        assert session.validate() == {"error": -1.0}

    def test_the_searchers_metric_may_be_one_of_them(self, line: Definition) -> None:
        """A number of numpy's or of torch's counts as well."""
        session = self.reducing(line, "lambda values: torch.tensor(0.25), name='share'")
        metrics = session.validate()
        assert float(metrics["share"]) == 0.25
        assert session.metrics("share", "validation")[1].tolist() == [0.25]

    def test_one_that_breaks_a_rule_ends_the_training_and_not_the_session(self, line: Definition) -> None:
        """It is named; the batches are kept."""
        session = self.reducing(line, "lambda values: 1.0", train="self.mine.update(1)")
        with pytest.raises(TrialError, match="name=None but it did not return a dict"):
            session.train(batches=3, wait=True)
        assert session.batches_trained == 3
        assert len(session.metrics("loss")[1]) == 3


class TestNamesOf013:
    """The names that reducers had in Determined 0.13."""

    def test_reducers_by_their_names_of_0_13(self) -> None:
        """`context.experimental` wraps, reduces and resets them, for training and for validation."""
        mine = context()
        both = mine.experimental.wrap_reducer(lambda values: sum(values), name="total")
        validation = mine.experimental.wrap_reducer(lambda values: len(values), name="count", for_training=False)
        for value in (1, 2):
            both.update(value)
            validation.update(value)
        assert mine.experimental.reduce_metrics(for_training=True) == {"total": 3}
        assert mine.experimental.reduce_metrics(for_training=False) == {"total": 3, "count": 2}
        mine.experimental.reset_reducers()
        assert mine.experimental.reduce_metrics(for_training=False) == {"total": 0, "count": 0}
