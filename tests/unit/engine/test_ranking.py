"""Which validation is the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detjupyter.definition.config import read_config
from detjupyter.engine.ranking import Ranking

if TYPE_CHECKING:
    from support.bench import Bench


class TestBest:
    """The best value and when it was."""

    @pytest.mark.parametrize(
        ("metric", "smaller", "values", "best"),
        [
            ("loss", True, [3.0, 1.0, 2.0], (1.0, 2)),
            ("loss", False, [3.0, 1.0, 4.0], (4.0, 3)),
            ("accuracy", None, [0.5, 0.9, 0.7], (0.9, 2)),
            ("loss", None, [0.5, 0.9, 0.4], (0.4, 3)),
            ("loss", True, [math.nan, 2.0, math.nan], (2.0, 2)),
            ("loss", True, [1.0, 1.0], (1.0, 1)),
            ("loss", True, [2.0, -math.inf, 1.0], (-math.inf, 2)),
        ],
    )
    def test_the_best_value_and_when(self, metric: str, smaller: bool | None, values: list[float], best: tuple[float, int]) -> None:
        """Smaller or larger as configured, else by the name; NaN is never best, and the first of equals stays."""
        ranking = Ranking(metric, smaller)
        improved = [ranking.add({"other": 0.0, metric: value}, count) for count, value in enumerate(values, start=1)]
        assert ranking.best is not None
        assert (ranking.best.name, ranking.best.value, ranking.best.batches_trained) == (metric, *best)
        assert max(count for count, is_best in enumerate(improved, start=1) if is_best) == best[1]

    @pytest.mark.parametrize("metric", [None, "never"])
    def test_without_a_configured_metric_the_first_one_ranks(self, metric: str | None) -> None:
        """And one that is configured but never comes is replaced in the same way."""
        ranking = Ranking(metric)
        assert ranking.add({"words": "text", "accuracy": 0.5, "loss": 3.0}, 1)
        assert ranking.best is not None
        assert (ranking.best.name, ranking.best.smaller_is_better) == ("accuracy", False)

    def test_no_number_is_no_best(self) -> None:
        """A validation that gives only text ranks nothing."""
        ranking = Ranking()
        assert not ranking.add({"words": "text"}, 1)
        assert not ranking.add({}, 2)
        assert (ranking.best, ranking.newest) == (None, None)

    def test_another_metric_ranks_anew(self) -> None:
        """After a reload that configures another one, values of the old metric are not compared with the new."""
        ranking = Ranking("loss")
        ranking.add({"loss": 0.1, "accuracy": 0.5}, 1)
        ranking.configure("accuracy", None)
        assert ranking.add({"loss": 9.0, "accuracy": 0.4}, 2)
        assert ranking.best is not None
        assert (ranking.best.name, ranking.best.value) == ("accuracy", 0.4)

    def test_a_configured_metric_that_is_missing_is_named(self) -> None:
        """For each validation that lacks it."""
        ranking = Ranking("auc")
        assert ranking.missing({"loss": 1.0}) == "auc"
        assert ranking.missing({"loss": 1.0}) == "auc"
        assert ranking.missing({"auc": 1.0}) is None
        ranking.configure("f1", None)
        assert ranking.missing({"loss": 1.0}) == "f1"
        ranking.configure(None, None)
        assert ranking.missing({"loss": 1.0}) is None


class TestNewest:
    """The value by which a checkpoint of the same batch is ranked."""

    def test_it_is_of_the_newest_validation(self) -> None:
        """Also if that is not the best one; none if it is NaN or has none."""
        ranking = Ranking("loss")
        ranking.add({"loss": 1.0}, 1)
        ranking.add({"loss": 2.0}, 2)
        assert ranking.newest == 2.0
        ranking.add({"loss": math.nan}, 3)
        assert ranking.newest is None
        ranking.add({"words": "text"}, 4)
        assert ranking.newest is None


class TestASession:
    """The engine ranks, and says so."""

    @pytest.mark.parametrize("config", [read_config({"searcher": {"metric": "accuracy", "smaller_is_better": False}}, Path("nowhere"))])
    def test_a_better_validation_shows_and_a_worse_one_does_not(self, bench: Bench) -> None:
        """The record has the best one, with its batch; the missing metric is named in the log once."""
        for accuracy in (0.5, 0.9, 0.7):
            bench.adapter.validation_metrics = {"loss": 1.0, "accuracy": accuracy}
            bench.session.step()
            bench.session.validate()
        best = bench.session.record().best
        assert best is not None
        assert (best.name, best.value, best.batches_trained) == ("accuracy", 0.9, 2)
        assert bench.session.run is not None
        assert bench.session.run.record.best == best
        bench.adapter.validation_metrics = {"loss": 1.0}
        for _ in range(2):
            bench.session.step()
            bench.session.validate()
        assert sum("'accuracy' is not a validation metric (available: loss)" in line for line in bench.log()) == 1
