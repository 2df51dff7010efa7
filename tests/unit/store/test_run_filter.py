"""Conditions that choose runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.runs import make_run, make_session

import detjupyter as dj
from detjupyter.errors import ArgumentError
from detjupyter.protocol.states import State
from detjupyter.store import Store, open_store
from detjupyter.store.run_filter import RunFilter
from detjupyter.store.summary import summary_of

LATEST = {"training": {"loss": 0.5, "a/b": 2.0, "accuracy": 0.1}, "validation": {"accuracy": 0.9, "nan": float("nan")}}
HYPERPARAMETERS: dict[str, Any] = {
    "lr": 1e-3,
    "optimizer": {"name": "adam", "betas": [0.9, 0.99]},
    "amp": False,
    "seed": 5,
    "note": "Ü x",
    "none": None,
}
RUN = make_run("r1", hyperparameters=HYPERPARAMETERS, seed=1, session=make_session(latest=LATEST), batches_trained=7, best=None,
               name="first", note="a long one", tags=("baseline", "b"), starred=True)  # fmt: skip


class TestConditions:
    """What a condition can say."""

    @pytest.mark.parametrize(
        "condition",
        [
            "lr < 1e-2",
            "lr == 0.001 and accuracy > 0.8",
            "lr > 1 or accuracy >= 0.9",
            "1e-4 < lr <= 1e-3 < accuracy",
            "not lr > 1",
            "not (lr > 1 or amp)",
            "not amp",
            "lr",
            "True",
            "optimizer.name == 'adam'",
            'hparam.optimizer.name != "sgd"',
            "optimizer['name'] in ('adam', 'sgd')",
            "optimizer.name not in ['sgd']",
            "'da' in optimizer.name",
            "0.9 in optimizer.betas",
            "seed == 1 and hparam.seed == 5",
            "loss == 0.5 and training.loss == 0.5",
            "training['a/b'] == 2",
            "accuracy == 0.9 and training.accuracy == 0.1",
            "state == 'running' and batches == 7 and entrypoint == 'model_def:Trial'",
            "lr > -1",
            "none == None",
            "hparam.note == 'Ü x'",
            "starred and 'baseline' in tags and 'x' not in tags",
            "name == 'first' and 'long' in note and not archived",
            "  lr < 1\n and accuracy > 0 ",
        ],
    )
    def test_that_hold(self, condition: str) -> None:
        """For the run above."""
        assert RunFilter(condition).matches(summary_of(RUN))

    def test_the_time_of_a_run_without_a_report(self) -> None:
        """It is the one that tables show: from its start to its last write."""
        run = make_run("r1", session=None, created_at=100.0, updated_at=130.0, ended_at=None)
        assert RunFilter("seconds == 30").matches(summary_of(run))

    @pytest.mark.parametrize(
        "condition",
        [
            "lr > 1",
            "accuracy < 0.9",
            "absent > 0",
            "absent != 0",
            "absent",
            "absent == absent",
            "best > 0",
            "state < 3",
            "lr < 'a'",
            "'a' in lr",
            "nan > 0 or nan <= 0",
            "none",
            "amp",
            "lr < 1 and absent",
        ],
    )
    def test_that_do_not(self, condition: str) -> None:
        """Also because a value is missing, or of another kind."""
        assert not RunFilter(condition).matches(summary_of(RUN))


class TestMistakes:
    """Each is one error that points at its place."""

    @pytest.mark.parametrize(
        ("condition", "column"),
        [
            ("lr <", 5),
            ("lr < 1 und accuracy > 2", 8),
            ("lr = 1", 4),
            ("lr < 1 and (accuracy", 12),
            ("lr < f(1)", 6),
            ("lr + 1 > 2", 1),
            ("accuracy > 0 and __import__('os')", 18),
            ("lr is 1", 1),
            ("lr.real.imag[0] > 1", 1),
            ("lambda: 1", 1),
            ("[x for x in lr]", 1),
            ("ü < f'{lr}'", 5),
            ("lr < b'x'", 6),
            ("", 1),
            ("-lr < 1", 1),
            ("-lr", 1),
            ("lr < 1 and not ~amp", 16),
        ],
    )
    def test_point_at_the_character(self, condition: str, column: int) -> None:
        """With an example of a right one."""
        with pytest.raises(ArgumentError) as error:
            RunFilter(condition)
        pointer = str(error.value).splitlines()[2]
        assert pointer.index("^") - len("  in ") + 1 == column
        assert "An example: lr < 1e-3" in str(error.value)

    def test_the_example_is_given_once(self) -> None:
        """As the hint of the error, and not in its message, too."""
        with pytest.raises(ArgumentError) as caught:
            RunFilter("tags[0] == 'a'")
        assert str(caught.value).count("An example") == 1

    @pytest.mark.parametrize("condition", ["(" * 400 + "lr" + ")" * 400, "lr < 1\0", "- " * 490 + "1", "lr." * 300, "[" * 999])
    def test_of_hostile_text_are_one_error_too(self, condition: str) -> None:
        """However deep, and with a zero byte."""
        with pytest.raises(ArgumentError, match=r"cannot be read|is neither"):
            RunFilter(condition)

    def test_of_length(self) -> None:
        """Are named with the limit."""
        with pytest.raises(ArgumentError, match="at most 1,000 characters, not 2,006"):
            RunFilter("lr < 1" + "0" * 2000)


class TestRuns:
    """``dj.runs(where=…)``."""

    @pytest.fixture(autouse=True)
    def store(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
        """Return a history of five runs with growing learning rates."""
        store = open_store(tmp_path / "home" / "runs.sqlite")
        for number in range(5):
            state = State.FAILED if number == 3 else State.FINISHED
            store.create_run(make_run(f"r{number}", hyperparameters={"lr": 10.0 ** (number - 5)}, state=state, ended_at=1.0))
        monkeypatch.setattr("detjupyter.store.history.open_store", lambda: store)
        yield store
        store.close()

    def test_are_the_newest_that_match(self) -> None:
        """In the order of the history, as many as wanted, with the other filters."""
        assert [run.id for run in dj.runs(where="lr <= 1e-2")] == ["r3", "r2", "r1", "r0"]
        assert [run.id for run in dj.runs(2, where="lr <= 1e-2")] == ["r3", "r2"]
        assert [run.id for run in dj.runs(where="lr <= 1e-2", state="finished", before="r2")] == ["r1", "r0"]
        assert [run.id for run in dj.runs(where="lr <= 1e-2 and state == 'failed'")] == ["r3"]

    def test_pages_are_read_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page boundary loses none."""
        monkeypatch.setattr("detjupyter.store.history._PAGE", 2)
        assert len(dj.runs(where="lr > 0")) == 5

    def test_none_match(self) -> None:
        """That is an empty list if the names are right, and an error with the near name if one is in no run."""
        assert dj.runs(where="lr > 5") == []
        with pytest.raises(ArgumentError, match=r"(?s)No run has a value 'lrr'.*Did you mean lr\?"):
            dj.runs(where="lrr > 5")
        with pytest.raises(ArgumentError, match=r"(?s)No run has a value 'wings'.*Names are those of"):
            dj.runs(where="wings > 5 or lr > 5")

    @pytest.mark.parametrize("condition", ["not lrr > 5", "lr > 0 or lrr > 5"])
    def test_a_wrong_name_is_an_error_although_runs_match(self, condition: str) -> None:
        """Otherwise they would be the wrong runs."""
        for limit in (1, None):
            with pytest.raises(ArgumentError, match=r"(?s)No run has a value 'lrr'.*Did you mean lr\?"):
                dj.runs(limit, where=condition)

    def test_a_name_that_only_other_runs_have_is_right(self, store: Store) -> None:
        """Older ones than those that are returned, or of another state."""
        store.create_run(make_run("r5", hyperparameters={"width": 3}, state=State.FINISHED, ended_at=1.0))
        assert [run.id for run in dj.runs(1, where="width == 3 or lr > 5")] == ["r5"]
        assert dj.runs(where="width == 3", state="failed") == []

    def test_an_empty_history_has_no_wrong_names(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """It is an empty list."""
        empty = open_store(tmp_path / "other" / "runs.sqlite")
        monkeypatch.setattr("detjupyter.store.history.open_store", lambda: empty)
        assert dj.runs(where="lr < 1") == []
        empty.close()
