"""Runs next to each other: what differs among them, their metrics, and how that is shown."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import make_run, make_session
from support.sqlite import write_sql

import detjupyter as dj
from detjupyter.errors import ArgumentError, RunNotFoundError
from detjupyter.protocol.records import BestRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, open_store
from detjupyter.widgets.comparison import comparison_bundle

EVIL = "<img src=x onerror=alert(1)>\x1b[31m"


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """Return an empty history, in which the calls of the tests look."""
    store = open_store(tmp_path / "home" / "runs.sqlite")
    for module in ("history", "comparison"):
        monkeypatch.setattr(f"detjupyter.store.{module}.open_store", lambda: store)
    yield store
    store.close()


def add(store: Store, run_id: str, *, best: float | None = 0.5, losses: int = 10, **changes: Any) -> None:
    """Add a finished run with a training and a validation metric."""
    record = None if best is None else BestRecord("accuracy", best, losses, smaller_is_better=False)
    config = {"hyperparameters": {"lr": 0.1}, "searcher": {"name": "single"}}
    defaults = {"hyperparameters": {"lr": 0.1, "net": {"width": 3}}, "config": config, "seed": 1, "ended_at": 2.0, "created_at": 1.0}
    store.create_run(make_run(run_id, state=State.FINISHED, best=record, **(defaults | changes)))
    batches = np.arange(1, losses + 1)
    if losses:
        store.append_series(run_id, Group.TRAINING, "loss", batches, 1.0 / batches)
        store.append_series(run_id, Group.VALIDATION, "accuracy", batches[-1:], np.array([best or 0.0]))


class TestTheData:
    """``dj.compare``."""

    def test_a_continued_run_begins_with_the_curves_of_its_parent(self, store: Store) -> None:
        """Up to the batch at which it continued, at full resolution; a deleted ancestor is missing, nothing else is."""
        for run_id in ("first", "second", "third"):
            add(store, run_id, losses=0, best=None)
        store.append_series("first", Group.TRAINING, "loss", np.arange(1, 6_001), np.full(6_000, 1.0))
        store.append_series("second", Group.TRAINING, "loss", np.arange(5_001, 5_011), np.full(10, 2.0))
        store.append_series("third", Group.TRAINING, "loss", np.arange(5_006, 5_008), np.full(2, 3.0))
        store.append_event("second", {"kind": "moved", "run_id": "first", "batches_trained": 5_000})
        store.append_event("third", {"kind": "moved", "run_id": "second", "batches_trained": 5_005})
        first, third = dj.compare("first", "third").metrics[0].curves
        assert first is not None
        assert third is not None
        assert len(first.batches) == 6_000
        assert third.batches.tolist() == list(range(1, 5_008))
        assert [third.values[batch - 1] for batch in (5_000, 5_001, 5_005, 5_006)] == [1.0, 2.0, 2.0, 3.0]
        add(store, "other")
        store.delete_run("first")
        assert dj.compare("third", "other").metrics[0].curves[0].batches.tolist() == list(range(5_001, 5_008))  # type: ignore[union-attr]

    def test_has_what_happened_in_each_run(self, store: Store) -> None:
        """In the order of batches, also the pauses and the end."""
        add(store, "a")
        add(store, "b", best=None)
        events: list[dict[str, Any]] = [
            {"kind": "state", "state": "running", "batches_trained": 0},
            {"kind": "checkpoint", "checkpoint": {"batches_trained": 8}},
            {"kind": "state", "state": "paused", "batches_trained": 5},
            {"kind": "state", "state": "running", "batches_trained": 5},
            {"kind": "loaded", "batches_trained": 5},
            {"kind": "state", "state": "stopped", "batches_trained": 9},
        ]
        store.append_events("b", events)
        of_a, of_b = dj.compare("a", "b").events
        assert [(mark.batches_trained, mark.kind) for mark in of_a] == [(10, "best")]
        wanted = [(5, "paused"), (5, "resumed"), (5, "code reloaded"), (8, "checkpoint saved"), (9, "stopped")]
        assert [(mark.batches_trained, mark.text) for mark in of_b] == wanted

    def test_has_hyperparameters_and_metrics_as_axes(self, store: Store) -> None:
        """Numbers as numbers; what does not differ is left out."""
        latest = {"validation": {"accuracy": 0.5}, "training": {"loss": math.nan}}
        add(store, "a", hyperparameters={"lr": 0.1, "kind": "x", "same": 1}, session=make_session(latest=latest))
        add(store, "b", hyperparameters={"lr": 10, "same": 1, "on": True}, best=0.75, session=None)
        axes = [(axis.kind, axis.name, str(axis.values)) for axis in dj.compare("a", "b").axes]
        assert axes == [
            ("hyperparameter", "lr", "(0.1, 10)"),
            ("hyperparameter", "kind", "('x', None)"),
            ("hyperparameter", "on", "(None, 'True')"),
            ("best", "accuracy", "(0.5, 0.75)"),
            ("validation", "accuracy", "(0.5, None)"),
            ("training", "loss", "(nan, None)"),
        ]

    def test_names_what_differs_and_nothing_else(self, store: Store) -> None:
        """Of entrypoint, seed, device, hyperparameters and configuration; a missing value is None."""
        add(store, "a")
        add(store, "b", seed=2, hyperparameters={"lr": 0.5, "net": {"width": 3}, "new": None}, config={"searcher": {"name": "random"}})
        assert dj.compare("a", "b").settings == {
            "seed": ("1", "2"),
            "lr": ("0.1", "0.5"),
            "new": (None, "None"),
            "config.searcher.name": ("'single'", "'random'"),
        }

    def test_tells_a_hyperparameter_from_a_fact_of_the_same_name(self, store: Store) -> None:
        """Both are named."""
        add(store, "a", seed=1, hyperparameters={"seed": 5})
        add(store, "b", seed=2, hyperparameters={"seed": 6})
        assert dj.compare("a", "b").settings == {"seed": ("1", "2"), "hparam.seed": ("5", "6")}

    def test_has_the_metrics_of_all(self, store: Store) -> None:
        """Also one that only one run has."""
        add(store, "a")
        add(store, "b", losses=4)
        store.append_series("b", Group.TRAINING, "extra", np.array([2]), np.array([math.nan]))
        metrics = {metric.name: metric for metric in dj.compare("a", "b").metrics}
        assert metrics["loss"].newest() == (0.1, 0.25)
        assert metrics["extra"].curves[0] is None
        assert math.isnan(metrics["extra"].newest()[1] or 0.0)

    def test_takes_ids_runs_and_lists(self, store: Store) -> None:
        """In their order, each once."""
        for run_id in "abcd":
            add(store, run_id)
        compared = dj.compare("b", dj.run("a"), dj.runs(2), "b")
        assert [record.id for record in compared.records] == ["b", "a", "d", "c"]
        assert compared.code is None

    def test_best_and_latest(self, store: Store) -> None:
        """The best of the latest one's definition and metric, whichever direction is better."""
        add(store, "other", best=0.99, definition_root="/elsewhere")
        add(store, "low", best=0.2)
        add(store, "high", best=0.8)
        add(store, "late", best=0.4)
        assert [record.id for record in dj.compare("best", "latest").records] == ["high", "late"]

    def test_the_best_has_the_metric_of_the_newest_run_that_has_one(self, store: Store) -> None:
        """Also if the latest run has none: values of different metrics cannot be ranked."""
        for number, (name, value) in enumerate([("reward", 90.0), ("accuracy", 0.3), ("accuracy", 0.2)]):
            add(store, f"r{number}", best=None)
            best = BestRecord(name, value, 1, smaller_is_better=False)
            store.update_run(f"r{number}", state=State.FINISHED, session=None, best=best, batches_trained=1, ended_at=2.0)
        add(store, "late", best=None)
        assert [record.id for record in dj.compare("best", "latest").records] == ["r1", "late"]

    def test_mistakes_are_one_error(self, store: Store) -> None:
        """Too few, too many, an id that is not there, no best value, an empty history."""
        with pytest.raises(RunNotFoundError):
            dj.compare("latest", "a")
        for number in range(21):
            add(store, f"r{number}", best=None)
        with pytest.raises(ArgumentError, match="nothing to compare: all of these are the run r1"):
            dj.compare("r1", dj.run("r1"))
        for wrong in (("r1",), (), (dj.runs(),)):
            with pytest.raises(ArgumentError, match="2 to 20 different runs"):
                dj.compare(*wrong)
        with pytest.raises(RunNotFoundError, match="nowhere"):
            dj.compare("r1", "nowhere")
        with pytest.raises(ArgumentError, match="has a best value yet"):
            dj.compare("best", "latest")
        for nothing in (5, None, b"r1", [5]):
            with pytest.raises(ArgumentError, match="is neither a run nor the id of one"):
                dj.compare("r1", nothing)  # type: ignore[arg-type]

    def test_a_list_that_contains_itself_is_one_error(self, store: Store) -> None:
        """Also a very deep one."""
        add(store, "r1")
        runs: list[Any] = ["r1"]
        runs.append(runs)
        deep: Any = "r1"
        for _ in range(5000):
            deep = [deep]
        for wrong in (runs, deep):
            with pytest.raises(ArgumentError, match="is neither a run nor the id of one"):
                dj.compare("r1", wrong)

    def test_the_best_one_is_found_next_to_a_damaged_one(self, store: Store) -> None:
        """A run that another version has written is not the best one, and hides none."""
        for run_id, best in (("a", 0.2), ("odd", 0.9), ("b", 0.8), ("late", 0.4)):
            add(store, run_id, best=best)
        write_sql(store.home / "runs.sqlite", "UPDATE runs SET session = '[]' WHERE id = 'odd'")
        assert [record.id for record in dj.compare("best", "latest").records] == ["b", "late"]


class TestTheOutput:
    """What a notebook shows."""

    def test_has_the_events_next_to_each_other(self, store: Store) -> None:
        """A row for each batch; of very many, validations give way, and a note says so."""
        add(store, "a", best=None)
        add(store, "b", best=None)
        validations = [{"kind": "validation", "batches_trained": batch, "metrics": {"loss": 1.0}} for batch in range(1, 4)]
        store.append_events("a", validations)
        store.append_event("b", {"kind": "loaded", "batches_trained": 2})
        store.append_event("b", {"kind": "error", "batches_trained": 7, "error": {"message": EVIL}})
        bundle = comparison_bundle(dj.compare("a", "b"))
        rows = [re.split(r"  +", line) for line in bundle["text/plain"].splitlines() if line.startswith("batch ")]
        assert rows[1] == ["batch 2", "validation: loss 1", "code reloaded"]
        assert [row[0] for row in rows] == ["batch 1", "batch 2", "batch 3", "batch 7"]
        assert "<img" not in bundle["text/html"]
        assert "<summary>Events, by batch</summary>" in bundle["text/html"]
        store.append_events("a", [dict(validations[0], batches_trained=batch) for batch in range(10, 400)])
        text = comparison_bundle(dj.compare("a", "b"))["text/plain"]
        assert [line.split("  ")[0] for line in text.splitlines() if line.startswith("batch ")] == ["batch 2", "batch 7"]
        assert "393 more events are not shown." in text

    def test_is_a_picture_and_a_table(self, store: Store) -> None:
        """With a column and a curve of its own color for each run."""
        add(store, "a")
        add(store, "b", hyperparameters={"lr": 0.5})
        bundle = comparison_bundle(dj.compare("a", "b"))
        assert bundle["text/plain"].splitlines()[0].split() == ["a", "b"]
        rows = {line.split()[0]: line.split()[1:] for line in bundle["text/plain"].splitlines()[1:] if line}
        assert rows["lr"] == ["0.1", "0.5"]
        assert rows["training/loss"] == ["0.1000", "0.1000"]
        assert rows["best"][:2] == ["accuracy", "0.5000"]
        svg = re.search(r"<svg.*?</svg>", bundle["text/html"], re.DOTALL)
        assert svg is not None
        lines = [line.get("stroke") for line in ET.fromstring(svg.group()).iter() if line.tag.endswith("polyline")]
        assert {"#2f8fd0", "#d9730d"} <= set(lines)

    def test_of_repetitions_has_the_mean_and_its_band(self, store: Store) -> None:
        """Three runs that differ by their seed only; not two, and not if something else differs, or the code."""
        for seed, best in enumerate((0.5, 0.6, 0.7), start=1):
            add(store, f"s{seed}", seed=seed, best=best)
        comparison = dj.compare("s1", "s2", "s3")
        assert comparison.is_of_seeds
        batches, mean, spread = next(metric for metric in comparison.metrics if metric.name == "accuracy").over_runs()
        assert (batches.tolist(), mean.tolist(), spread.tolist()) == ([10], [pytest.approx(0.6)], [pytest.approx(0.1)])
        bundle = comparison_bundle(comparison)
        assert "<polygon" in bundle["text/html"]
        assert "mean ± std of 3 seeds" in bundle["text/html"]
        assert "validation/accuracy: 0.6000 ± 0.1000" in bundle["text/plain"]

        add(store, "code", seed=4, bundle_hash="1" * 64)
        add(store, "lr", seed=5, hyperparameters={"lr": 0.5, "net": {"width": 3}})
        for runs in (("s1", "s2"), ("s1", "s2", "s3", "code"), ("s1", "s2", "s3", "lr")):
            assert "±" not in comparison_bundle(dj.compare(*runs))["text/plain"]

    def test_the_mean_is_taken_where_all_runs_have_a_value(self, store: Store) -> None:
        """Runs of different lengths, one without the metric, and a value that is not finite."""
        for seed, losses in ((1, 10), (2, 6), (3, 8), (4, 0)):
            add(store, f"s{seed}", seed=seed, losses=losses)
        store.append_series("s3", Group.TRAINING, "loss", np.array([4]), np.array([math.nan]))
        (loss,) = (metric for metric in dj.compare("s1", "s2", "s3", "s4").metrics if metric.name == "loss")
        batches, mean, _ = loss.over_runs()
        assert batches.tolist() == [1, 2, 3, 4]
        assert mean[:3].tolist() == pytest.approx([1, 1 / 2, 1 / 3])
        assert math.isnan(mean[3])
        assert "<svg" in comparison_bundle(dj.compare("s1", "s2", "s3", "s4"))["text/html"]

    def test_twenty_runs_can_be_distinguished(self, store: Store) -> None:
        """Ten colors, then the same ones dashed: in the picture and in the table."""
        for index in range(20):
            add(store, f"r{index:02}", hyperparameters={"lr": index})
        html = comparison_bundle(dj.compare(*[f"r{index:02}" for index in range(20)]))["text/html"]
        looks = re.findall(r'<polyline points="[^"]*" stroke="(#\w+)" stroke-width="1.2"( stroke-dasharray="5 3")?', html)
        assert len(set(looks)) == 20
        assert html.split("<details>")[0].count('<i class="d"') == 10

    def test_of_two_runs_has_the_difference_of_the_code(self, store: Store) -> None:
        """Or says why it cannot be shown."""
        add(store, "a", bundle_hash="0" * 64)
        add(store, "b", bundle_hash="1" * 64)
        assert "cannot be compared" in comparison_bundle(dj.compare("a", "b"))["text/plain"]

    def test_names_are_spelled_out(self, store: Store) -> None:
        """Of metrics, hyperparameters and values, in both forms."""
        add(store, "a", hyperparameters={EVIL: EVIL})
        add(store, "b")
        store.append_series("a", Group.TRAINING, EVIL, np.array([1, 2]), np.array([1.0, 2.0]))
        bundle = comparison_bundle(dj.compare("a", "b"))
        assert "<img" not in bundle["text/html"]
        assert "\x1b" not in "".join(bundle.values())

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_values_that_have_no_place_are_marked(self, value: float, store: Store) -> None:
        """As in the picture of one run."""
        add(store, "a")
        add(store, "b", losses=0)
        store.append_series("b", Group.TRAINING, "loss", np.array([1]), np.array([value]))
        assert "▲" in comparison_bundle(dj.compare("a", "b"))["text/html"]

    def test_runs_without_a_common_metric_and_without_any(self, store: Store) -> None:
        """A table, and a picture only if there is a curve."""
        add(store, "a", losses=0)
        add(store, "b", losses=0)
        assert "<svg" not in comparison_bundle(dj.compare("a", "b"))["text/html"]
        store.append_series("a", Group.TRAINING, "one", np.array([1]), np.array([1.0]))
        store.append_series("b", Group.VALIDATION, "two", np.array([1]), np.array([1.0]))
        html = comparison_bundle(dj.compare("a", "b"))["text/html"]
        assert "one (training)" in html
        assert "two (validation)" in html

    def test_many_long_runs_stay_small(self, store: Store) -> None:
        """20 runs of 20,000 batches and 40 metrics: the output of a cell is in the saved notebook."""
        for number in range(20):
            add(store, f"r{number}", losses=20_000)
            for metric in range(40):
                batches = np.arange(1, 20_001)
                store.append_series(f"r{number}", Group.TRAINING, f"m{metric}", batches, np.random.default_rng(metric).normal(size=20_000))
        bundle = comparison_bundle(dj.compare(dj.runs(20)))
        assert sum(map(len, bundle.values())) < 400_000

    def test_long_names_and_values_stay_small(self, store: Store) -> None:
        """100,000 characters, or 10,000 hyperparameters that differ: the table has their beginning and their number."""
        long = "x" * 100_000
        for run_id in "ab":
            many = {f"h{number}": run_id for number in range(10_000)}
            add(store, run_id, hyperparameters={long: long + run_id, **many})
            store.append_series(run_id, Group.TRAINING, long, np.array([1]), np.array([1.0]))
        bundle = comparison_bundle(dj.compare("a", "b"))
        assert sum(map(len, bundle.values())) < 400_000
        assert "and 9,801 more" in bundle["text/plain"]
