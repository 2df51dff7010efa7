"""The board: a session's present state out of its events."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from detjupyter.protocol.events import ActivityChanged, Logged, MetricsReported, StateChanged, Validated
from detjupyter.protocol.records import GpuRecord, LogLine, SessionRecord
from detjupyter.protocol.states import Activity, State
from detjupyter.training import board as board_module
from detjupyter.training.board import Board
from detjupyter.training.metrics import improves_to, scalars


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the test's time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the board a clock in the test's hands."""
    clock = Clock()
    monkeypatch.setattr(board_module, "time", clock)
    return clock


def make_board(metric: str | None = None, smaller_is_better: bool | None = None) -> Board:
    """Return the board of a session that was just loaded."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("run_id", "batches_per_epoch", "plan_start_batches", "plan_target_batches", "validation_done", "validation_total")
    )
    record = SessionRecord(
        session_id="toy",
        entrypoint="toy:Toy",
        definition="toy",
        definition_root="/toy",
        framework="toy",
        device="cpu",
        state=State.READY,
        activity=Activity.IDLE,
        batches_trained=0,
        records_trained=0,
        batches_per_second=None,
        records_per_second=None,
        elapsed_s=0.0,
        eta_s=None,
        **nothing,
    )
    return Board(record, metric=metric, smaller_is_better=smaller_is_better)


def report(first: int, last: int, records: int = 0, **columns: float) -> MetricsReported:
    """Make a report of a few batches with the same values in each."""
    count = last - first + 1
    values = {name: np.full(count, value) for name, value in (columns or {"loss": 1.0}).items()}
    return MetricsReported(np.arange(first, last + 1, dtype=np.int64), values, records or 4 * last)


class TestTime:
    """Speed, elapsed time and what is left."""

    def test_speed_is_that_of_the_last_seconds(self, clock: Clock) -> None:
        """An early slow start is forgotten."""
        board = make_board()
        board.apply(StateChanged(State.RUNNING, 0))
        board.begin_plan(0, 1000)
        trained = 0
        for pace in (1, 100):
            for _ in range(10):
                clock.now += 1
                trained += pace
                board.apply(report(trained, trained, records=4 * trained))
        record = board.record()
        assert record.batches_per_second == pytest.approx(100)
        assert record.records_per_second == pytest.approx(400)

    def test_what_is_left_follows_from_the_whole_training(self, clock: Clock) -> None:
        """Half done in ten seconds leaves ten; pauses do not count."""
        board = make_board()
        board.apply(StateChanged(State.RUNNING, 0))
        board.begin_plan(0, 100)
        assert board.record().eta_s is None
        clock.now += 10
        board.apply(report(1, 50))
        assert board.record().eta_s == pytest.approx(10)
        board.apply(StateChanged(State.PAUSED, 50))
        clock.now += 3600
        assert board.record().eta_s == pytest.approx(10)
        assert board.record().elapsed_s == pytest.approx(10)
        board.apply(StateChanged(State.RUNNING, 50))
        clock.now += 5
        board.apply(report(51, 75))
        assert board.record().eta_s == pytest.approx(5)
        board.apply(StateChanged(State.FINISHED, 75))
        assert board.record().eta_s is None

    def test_a_validation_between_does_not_slow_the_speed(self, clock: Clock) -> None:
        """Batches per second are of training."""
        board = make_board()
        board.apply(StateChanged(State.RUNNING, 0))
        for last in (10, 20):
            clock.now += 1
            board.apply(report(last, last))
        board.apply(ActivityChanged(Activity.VALIDATING))
        clock.now += 60
        board.apply(ActivityChanged(Activity.TRAINING))
        for last in (30, 40):
            clock.now += 1
            board.apply(report(last, last))
        assert board.record().batches_per_second == pytest.approx(10)

    def test_the_second_training_counts_for_itself(self, clock: Clock) -> None:
        """Time goes on, the plan begins anew."""
        board = make_board()
        board.apply(StateChanged(State.RUNNING, 0))
        board.begin_plan(0, 10)
        clock.now += 100
        board.apply(report(1, 10))
        board.apply(StateChanged(State.FINISHED, 10))
        board.apply(StateChanged(State.RUNNING, 10))
        board.begin_plan(10, 30)
        clock.now += 2
        board.apply(report(11, 20))
        assert board.record().eta_s == pytest.approx(2)
        assert board.record().elapsed_s == pytest.approx(102)


class TestBest:
    """Which validation ranks the run."""

    @pytest.mark.parametrize(
        ("metric", "smaller", "values", "best"),
        [
            ("loss", True, [3.0, 1.0, 2.0], (1.0, 2)),
            ("loss", False, [3.0, 1.0, 4.0], (4.0, 3)),
            ("accuracy", None, [0.5, 0.9, 0.7], (0.9, 2)),
            ("loss", None, [0.5, 0.9, 0.4], (0.4, 3)),
            ("loss", True, [math.nan, 2.0, math.nan], (2.0, 2)),
            ("loss", True, [1.0, 1.0], (1.0, 1)),
        ],
    )
    def test_the_best_value_and_when(self, metric: str, smaller: bool | None, values: list[float], best: tuple[float, int]) -> None:
        """Smaller or larger as configured, else by the name; NaN is never best, and the first of equals stays."""
        board = make_board(metric, smaller)
        for count, value in enumerate(values, start=1):
            board.apply(Validated(count, {"other": 0.0, metric: value}))
        found = board.record().best
        assert found is not None
        assert (found.name, found.value, found.batches_trained) == (metric, *best)

    def test_without_a_configured_metric_the_first_one_ranks(self) -> None:
        """And one that is configured but never comes is replaced in the same way."""
        for metric in (None, "never"):
            board = make_board(metric)
            board.apply(Validated(1, {"words": "text", "accuracy": 0.5, "loss": 3.0}))
            best = board.record().best
            assert best is not None
            assert (best.name, best.smaller_is_better) == ("accuracy", False)

    def test_no_number_is_no_best(self) -> None:
        """A validation that gives only text ranks nothing."""
        board = make_board()
        board.apply(Validated(1, {"words": "text"}))
        assert board.record().best is None

    @pytest.mark.parametrize(
        ("name", "way"),
        [
            ("loss", "smaller"),
            ("val_loss", "smaller"),
            ("accuracy", "larger"),
            ("val-acc", "larger"),
            ("F1", "larger"),
            ("mAP_50", "larger"),
            ("mape", "smaller"),
            ("dice_loss", "smaller"),
            ("top1_error", "smaller"),
            ("perplexity", "smaller"),
            ("something", "smaller"),
        ],
    )
    def test_names_tell_which_way_is_better(self, name: str, way: str) -> None:
        """A loss of something good is still a loss."""
        assert improves_to(name) == way


class TestLatest:
    """The newest values and what goes on."""

    def test_a_metric_that_comes_now_and_then_keeps_its_last_value(self) -> None:
        """It does not vanish between."""
        board = make_board()
        board.apply(report(1, 2, loss=1.0, norm=7.0))
        board.apply(report(3, 4, loss=0.5))
        board.apply(Validated(4, {"error": 0.1}))
        assert board.record().latest == {"training": {"loss": 0.5, "norm": 7.0}, "validation": {"error": 0.1}}

    def test_an_ended_training_shows_no_activity(self) -> None:
        """Whatever it was doing last."""
        board = make_board()
        board.apply(StateChanged(State.RUNNING, 0))
        board.apply(ActivityChanged(Activity.VALIDATING, 3, 10))
        assert (board.record().validation_done, board.record().validation_total) == (3, 10)
        board.apply(StateChanged(State.STOPPED, 0))
        assert (board.record().activity, board.record().validation_done) == (Activity.IDLE, None)

    def test_readings_of_the_gpu_show(self) -> None:
        """The newest one, or none."""
        board = make_board()
        board.read_gpu(GpuRecord("H200", 1, 2, 50.0))
        assert board.record().gpu == GpuRecord("H200", 1, 2, 50.0)
        board.read_gpu(None)
        assert board.record().gpu is None

    def test_single_numbers_are_drawn_and_nothing_else(self) -> None:
        """Arrays of one element, numpy numbers and booleans count; text, vectors and oddities do not."""
        ragged = [[1, 2], [3]]
        metrics = {
            "a": 1,
            "b": np.float32(2.5),
            "c": np.array([[3.0]]),
            "d": True,
            "e": "x",
            "f": [1, 2],
            "g": None,
            "h": ragged,
            "i": b"x",
        }
        assert scalars(metrics) == {"a": 1.0, "b": 2.5, "c": 3.0, "d": 1.0}


class TestLog:
    """The last lines."""

    def test_a_cursor_reads_what_is_new(self) -> None:
        """Counted over all lines ever written."""
        board = make_board()
        board.apply(Logged(tuple(LogLine(0.0, "stdout", str(number)) for number in range(3))))
        cursor, lines = board.log(0)
        assert (cursor, [line.text for line in lines]) == (3, ["0", "1", "2"])
        assert board.log(cursor) == (3, ())
        board.apply(Logged((LogLine(0.0, "stdout", "3"),)))
        assert [line.text for line in board.log(cursor)[1]] == ["3"]

    def test_only_the_last_2000_are_kept(self) -> None:
        """A view that slept gets those; the count goes on."""
        board = make_board()
        board.apply(Logged(tuple(LogLine(0.0, "stdout", str(number)) for number in range(5000))))
        cursor, lines = board.log(10)
        assert cursor == 5000
        assert [lines[0].text, lines[-1].text, len(lines)] == ["3000", "4999", 2000]
