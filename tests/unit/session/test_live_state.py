"""The live state: what views show of a session, out of its events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detjupyter.next_step import NextStep
from detjupyter.protocol.answers import ErrorAnswer
from detjupyter.protocol.commands import COMMANDS
from detjupyter.protocol.events import (
    ActivityChanged,
    BestChanged,
    Closed,
    Failed,
    GpuRead,
    Logged,
    MetricsReported,
    Moved,
    PlanChanged,
    SlowedChanged,
    StateChanged,
    Validated,
)
from detjupyter.protocol.records import BestRecord, ErrorRecord, GpuRecord, LogLine, SessionRecord
from detjupyter.protocol.states import Activity, State
from detjupyter.session import live_state as live_module
from detjupyter.session.live_state import LiveState


class Clock:
    """Time as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the test's time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the live state a clock in the test's hands."""
    clock = Clock()
    monkeypatch.setattr(live_module, "time", clock)
    return clock


def make_live() -> LiveState:
    """Return the live state of a session that was just loaded."""
    return LiveState(SessionRecord("toy", None, "toy:Toy", "toy", "/toy", framework="toy", device="cpu"))


def plan(start: int | None, target: int | None, *, is_training: bool = True) -> PlanChanged:
    """Return a plan of a number of batches."""
    return PlanChanged(start, target, is_training, None)


def report(first: int, last: int, records: int = 0, **columns: float) -> MetricsReported:
    """Make a report of a few batches with the same values in each."""
    count = last - first + 1
    values = {name: np.full(count, value) for name, value in (columns or {"loss": 1.0}).items()}
    return MetricsReported(np.arange(first, last + 1, dtype=np.int64), values, records or 4 * last)


class TestTime:
    """Speed, elapsed time and what is left."""

    def test_speed_is_that_of_the_last_seconds(self, clock: Clock) -> None:
        """An early slow start is forgotten."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(plan(0, 1000))
        trained = 0
        for pace in (1, 100):
            for _ in range(10):
                clock.now += 1
                trained += pace
                live.apply(report(trained, trained, records=4 * trained))
        record = live.record()
        assert record.batches_per_second == pytest.approx(100)
        assert record.records_per_second == pytest.approx(400)

    def test_what_is_left_follows_from_the_whole_training(self, clock: Clock) -> None:
        """Half done in ten seconds leaves ten; pauses do not count."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(plan(0, 100))
        assert live.record().eta_s is None
        clock.now += 10
        live.apply(report(1, 50))
        assert live.record().eta_s == pytest.approx(10)
        live.apply(StateChanged(State.PAUSED, 50))
        clock.now += 3600
        assert live.record().eta_s == pytest.approx(10)
        assert live.record().elapsed_s == pytest.approx(10)
        live.apply(StateChanged(State.RUNNING, 50))
        clock.now += 5
        live.apply(report(51, 75))
        assert live.record().eta_s == pytest.approx(5)
        live.apply(StateChanged(State.FINISHED, 75))
        assert live.record().eta_s is None

    def test_a_validation_between_does_not_slow_the_speed(self, clock: Clock) -> None:
        """Batches per second are of training."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        for last in (10, 20):
            clock.now += 1
            live.apply(report(last, last))
        live.apply(ActivityChanged(Activity.VALIDATING))
        clock.now += 60
        live.apply(ActivityChanged(Activity.TRAINING))
        for last in (30, 40):
            clock.now += 1
            live.apply(report(last, last))
        assert live.record().batches_per_second == pytest.approx(10)

    def test_the_second_training_counts_for_itself(self, clock: Clock) -> None:
        """Its time and the time left refer to its own batches, also after its end; the session's time continues."""
        live = make_live()
        assert live.record().plan_elapsed_s == 0
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(plan(0, 10))
        clock.now += 100
        live.apply(report(1, 10))
        live.apply(StateChanged(State.FINISHED, 10))
        live.apply(StateChanged(State.RUNNING, 10))
        live.apply(plan(10, 30))
        clock.now += 2
        live.apply(report(11, 20))
        assert live.record().eta_s == pytest.approx(2)
        assert live.record().plan_elapsed_s == pytest.approx(2)
        assert live.record().elapsed_s == pytest.approx(102)
        live.apply(StateChanged(State.STOPPED, 20))
        clock.now += 60
        assert (live.record().plan_elapsed_s, live.record().elapsed_s) == (pytest.approx(2), pytest.approx(102))


class TestLatest:
    """The newest values and the activity."""

    def test_a_metric_that_comes_now_and_then_keeps_its_last_value(self) -> None:
        """It does not vanish between."""
        live = make_live()
        live.apply(report(1, 2, loss=1.0, norm=7.0))
        live.apply(report(3, 4, loss=0.5))
        live.apply(Validated(4, {"error": 0.1}))
        assert live.record().latest == {"training": {"loss": 0.5, "norm": 7.0}, "validation": {"error": 0.1}}

    def test_an_ended_training_shows_no_activity(self) -> None:
        """For any last activity."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(ActivityChanged(Activity.VALIDATING, 3, 10))
        assert (live.record().validation_done, live.record().validation_total) == (3, 10)
        live.apply(StateChanged(State.STOPPED, 0))
        assert (live.record().activity, live.record().validation_done) == (Activity.IDLE, None)

    def test_readings_of_the_gpu_show(self) -> None:
        """The newest one, or none."""
        live = make_live()
        live.apply(GpuRead(GpuRecord("H200", 1, 2, 50.0)))
        assert live.record().gpu == GpuRecord("H200", 1, 2, 50.0)
        live.apply(GpuRead(None))
        assert live.record().gpu is None

    def test_numbers_and_means_are_drawn_and_nothing_else(self) -> None:
        """Text of a validation is in the run, not in the curves; of several numbers the curve has the mean."""
        live = make_live()
        live.apply(Validated(3, {"error": np.float32(0.5), "names": "a b", "many": [1, 2]}))
        assert live.record().latest == {"validation": {"error": 0.5, "many": 1.5}}
        drawn = [(patch.name, patch.batches.tolist(), patch.values.tolist()) for patch in live.patches({})]
        assert drawn == [("error", [3], [0.5]), ("many", [3], [1.5])]

    def test_a_batch_without_a_metric_leaves_it_out(self) -> None:
        """A missing value has no point; a NaN has one."""
        live = make_live()
        values = {"loss": np.array([1.0, np.nan, 3.0]), "norm": np.array([np.nan, 5.0, np.nan])}
        live.apply(MetricsReported(np.arange(1, 4), values, 12, {"norm": np.array([False, True, False])}))
        curves = {patch.name: patch.batches.tolist() for patch in live.patches({})}
        assert curves == {"loss": [1, 2, 3], "norm": [2]}
        assert live.record().latest["training"] == {"loss": 3.0, "norm": 5.0}

    def test_the_best_is_what_the_engine_says(self) -> None:
        """It ranks; the views only show it."""
        live = make_live()
        live.apply(Validated(1, {"error": 0.5}))
        assert live.record().best is None
        best = BestRecord("error", 0.5, 1, smaller_is_better=True)
        live.apply(BestChanged(best))
        assert live.record().best == best

    def test_an_error_shows_until_the_next_training(self) -> None:
        """Pausing and resuming are none."""
        live = make_live()
        error = ErrorRecord("a bad batch", None, None, "")
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(Failed(error, 3, ErrorAnswer("TrialError", "a bad batch")))
        live.apply(StateChanged(State.FAILED, 3))
        assert (live.record().error, live.record().state) == (error, State.FAILED)
        live.apply(StateChanged(State.RUNNING, 3))
        assert live.record().error is None

    @pytest.mark.usefixtures("magics_wording")
    def test_an_errors_hint_is_in_the_words_of_this_process(self) -> None:
        """The engine, perhaps in another process, names next steps in Python; views and the history show what the user types here."""
        live = make_live()
        record = ErrorRecord("NaN", "loss became NaN.", "", f"{NextStep.RESTORE('latest')} restores the last checkpoint.")
        live.apply(Failed(record, 3, ErrorAnswer("TrialError", "loss became NaN.")))
        shown = live.record().error
        assert shown is not None
        assert shown.hint == "`%det_restore latest` restores the last checkpoint."

    def test_a_busy_cell_shows_until_the_training_ends(self) -> None:
        """Nothing is slowed down then."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(SlowedChanged(slowed=True))
        assert live.record().slowed
        live.apply(StateChanged(State.STOPPED, 0))
        assert not live.record().slowed


class TestPlans:
    """How long the training is, and where it is."""

    def test_the_plan_of_the_training_before_is_gone_when_the_next_begins(self) -> None:
        """Until the next one is planned, there is no progress to show."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(PlanChanged(0, 10, is_training=True, batches_per_epoch=5))
        record = live.record()
        assert (record.plan_start_batches, record.plan_target_batches, record.batches_per_epoch) == (0, 10, 5)
        assert record.has_training
        live.apply(report(1, 10))
        live.apply(StateChanged(State.FINISHED, 10))
        record = live.record()
        assert (record.plan_start_batches, record.plan_target_batches, record.has_training) == (0, 10, False)
        live.apply(StateChanged(State.RUNNING, 10))
        record = live.record()
        assert (record.plan_start_batches, record.plan_target_batches, record.eta_s) == (None, None, None)

    def test_a_step_outside_of_a_training_can_not_be_resumed(self) -> None:
        """The plan says whether a training or a step is running, and the offered commands follow it."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(plan(0, 1, is_training=False))
        live.apply(plan(None, None, is_training=False))
        live.apply(StateChanged(State.PAUSED, 1))
        assert "resume" not in live.record().allowed
        assert "train" in live.record().allowed
        live.apply(StateChanged(State.RUNNING, 1))
        live.apply(plan(1, 10))
        live.apply(StateChanged(State.PAUSED, 2))
        assert "resume" in live.record().allowed
        assert "train" not in live.record().allowed

    def test_a_longer_target_of_the_same_training_keeps_its_time(self, clock: Clock) -> None:
        """What is left is measured from its beginning."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(plan(0, 50))
        clock.now += 10
        live.apply(report(1, 50))
        live.apply(plan(0, 100))
        assert live.record().eta_s == pytest.approx(10)

    def test_a_restored_trial_is_where_its_checkpoint_was(self) -> None:
        """Both counts move, and no plan is left."""
        live = make_live()
        live.apply(StateChanged(State.RUNNING, 0))
        live.apply(plan(0, 10))
        live.apply(report(1, 10))
        live.apply(StateChanged(State.FINISHED, 10))
        live.apply(Moved(4, 16))
        record = live.record()
        assert (record.batches_trained, record.records_trained, record.plan_target_batches, record.eta_s) == (4, 16, None, None)

    def test_a_restore_gives_up_the_future_at_once(self) -> None:
        """Curves and newest values end at the checkpoint. A later restore shows more of them again, but not after more training."""
        live = make_live()
        live.apply(report(1, 10))
        live.apply(Validated(8, {"error": 0.5}))
        cursors: dict[Any, Any] = {}
        live.patches(cursors)
        live.apply(Moved(4, 16))
        patches = {patch.name: (patch.start, patch.batches.tolist()) for patch in live.patches(cursors)}
        assert patches == {"loss": (0, [1, 2, 3, 4]), "error": (0, [])}
        assert live.patches(cursors) == []
        whole = {patch.name: patch for patch in live.patches({})}
        assert live.record().latest == {"training": {"loss": whole["loss"].values[-1]}}
        live.apply(Moved(9, 36))
        assert {patch.name: patch.batches[-1] for patch in live.patches(cursors)} == {"loss": 9, "error": 8}
        live.apply(Moved(4, 16))
        live.apply(report(5, 6))
        live.apply(Moved(20, 40))
        assert [patch.batches.tolist() for patch in live.patches({})] == [[1, 2, 3, 4, 5, 6]]

    def test_a_closed_session_offers_nothing(self) -> None:
        """In any last state; a session that supports few commands offers no others."""
        live = make_live()
        assert set(live.record().allowed) <= set(COMMANDS)
        assert live.record().allowed
        live.apply(Closed())
        assert live.record().allowed == ()
        few = LiveState(SessionRecord("toy", None, "toy:Toy", "toy", "/toy", "toy", "cpu"), commands=("stop", "validate"))
        assert few.record().allowed == ("validate",)
        few.apply(StateChanged(State.RUNNING, 0))
        assert few.record().allowed == ("stop", "validate")


class TestLog:
    """The last lines."""

    def test_a_cursor_reads_what_is_new(self) -> None:
        """Counted over all lines ever written."""
        live = make_live()
        live.apply(Logged(tuple(LogLine(0.0, "stdout", str(number)) for number in range(3))))
        cursor, lines = live.log(0)
        assert (cursor, [line.text for line in lines]) == (3, ["0", "1", "2"])
        assert live.log(cursor) == (3, ())
        live.apply(Logged((LogLine(0.0, "stdout", "3"),)))
        assert [line.text for line in live.log(cursor)[1]] == ["3"]

    def test_only_the_last_2000_are_kept(self) -> None:
        """A view that missed lines gets these; the count continues."""
        live = make_live()
        live.apply(Logged(tuple(LogLine(0.0, "stdout", str(number)) for number in range(5000))))
        cursor, lines = live.log(10)
        assert cursor == 5000
        assert [lines[0].text, lines[-1].text, len(lines)] == ["3000", "4999", 2000]
