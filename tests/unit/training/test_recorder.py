"""Events become rows of the history."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detjupyter.protocol.events import ActivityChanged, Logged, MetricsReported, StateChanged, Validated
from detjupyter.protocol.records import LogLine
from detjupyter.protocol.states import Activity, Group, State
from detjupyter.training.loaded import run_record
from detjupyter.training.recorder import Recorder

if TYPE_CHECKING:
    from unit.training.conftest import Bench

LIMIT_S = 20.0


@pytest.fixture
def said() -> list[str]:
    """Return what the recorder says."""
    return []


@pytest.fixture
def recorder(bench: Bench, said: list[str]) -> Recorder:
    """Return a recorder of the bench's session, with no run yet."""
    return Recorder(bench.session.record, said.append)


def begin(recorder: Recorder, bench: Bench) -> Any:
    """Begin a run in the bench's store and return its id."""
    recorder.begin(bench.store, run_record(bench.session.record(), bench.loaded, bundle_hash="0", kernel_id=None))
    return recorder.run_id


def report(first: int, last: int) -> MetricsReported:
    """Make a report of some batches."""
    batches = np.arange(first, last + 1, dtype=np.int64)
    return MetricsReported(batches, {"loss": batches.astype(np.float64)}, 0)


def test_what_came_before_the_run_belongs_to_it(recorder: Recorder, bench: Bench) -> None:
    """Lines printed while loading are in the history of the run they led to."""
    recorder.add(Logged((LogLine(0.0, "stdout", "early"),)))
    recorder.flush()
    run = begin(recorder, bench)
    recorder.flush()
    assert [line.text for line in bench.store.log(run)[1]] == ["early"]


def test_every_kind_of_event_finds_its_place(recorder: Recorder, bench: Bench) -> None:
    """Metrics are curves, prints the log, the rest events; what is only of the moment is not kept."""
    run = begin(recorder, bench)
    recorder.add(report(1, 3))
    recorder.add(ActivityChanged(Activity.VALIDATING, 1, 2))
    recorder.add(Validated(3, {"error": 0.5, "text": "fine", "many": np.array([1.0, np.nan])}))
    recorder.add(StateChanged(State.PAUSED, 3))
    recorder.flush()
    assert bench.store.series(run, Group.TRAINING, "loss")[0].tolist() == [1, 2, 3]
    assert bench.store.series_names(run) == [(Group.TRAINING, "loss"), (Group.VALIDATION, "error")]
    kinds = [event["kind"] for event in bench.store.events(run)]
    assert kinds == ["validation", "state"]
    assert bench.store.events(run)[0]["metrics"] == {"error": 0.5, "text": "fine", "many": [1.0, "NaN"]}


def test_a_flush_that_is_not_due_does_not_touch_the_store(recorder: Recorder, bench: Bench) -> None:
    """The store is written a few times a second, not at every event."""
    begin(recorder, bench)
    recorder.flush()
    before = bench.store.change_token()
    recorder.add(report(1, 1))
    recorder.flush_if_due()
    assert bench.store.change_token() == before
    recorder.flush()
    assert bench.store.change_token() != before


def test_what_could_not_be_written_comes_before_what_came_meanwhile(recorder: Recorder, bench: Bench, said: list[str]) -> None:
    """Order is kept over failed flushes; the trouble is spoken of once, and so is its end."""
    run = begin(recorder, bench)
    bench.store.broken = True
    for batch in range(1, 6):
        recorder.add(report(batch, batch))
        recorder.add(Logged((LogLine(0.0, "stdout", str(batch)),)))
        recorder.add(StateChanged(State.RUNNING, batch))
        recorder.flush()
    bench.store.broken = False
    recorder.add(report(6, 6))
    recorder.flush()
    recorder.flush()
    assert bench.store.series(run, Group.TRAINING, "loss")[1].tolist() == [1, 2, 3, 4, 5, 6]
    assert [line.text for line in bench.store.log(run)[1]] == ["1", "2", "3", "4", "5"]
    assert [event["batches_trained"] for event in bench.store.events(run)] == [1, 2, 3, 4, 5]
    assert len(said) == 2


def test_a_write_that_fails_half_way_is_not_written_twice(recorder: Recorder, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush is one transaction."""
    run = begin(recorder, bench)
    recorder.add(report(1, 2))
    recorder.add(Logged((LogLine(0.0, "stdout", "once"),)))
    monkeypatch.setattr(bench.store, "append_log", None)
    recorder.flush()
    monkeypatch.undo()
    recorder.flush()
    assert bench.store.series(run, Group.TRAINING, "loss")[0].tolist() == [1, 2]
    assert bench.store.series_since(run, 0)[1][0][2].tolist() == [1, 2]
    assert [line.text for line in bench.store.log(run)[1]] == ["once"]


def test_many_threads_may_flush_while_one_adds(recorder: Recorder, bench: Bench) -> None:
    """Nothing is lost, doubled or out of order."""
    run = begin(recorder, bench)
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            recorder.flush()

    threads = [threading.Thread(target=flush) for _ in range(3)]
    for thread in threads:
        thread.start()
    for batch in range(1, 301):
        recorder.add(report(batch, batch))
    done.set()
    for thread in threads:
        thread.join(LIMIT_S)
    recorder.flush()
    assert bench.store.series_since(run, 0)[1][0][2].tolist() == list(range(1, 301))


def test_a_run_that_has_ended_says_when(bench: Bench) -> None:
    """And goes on without an end if it is trained again."""
    bench.session.train(batches=1, wait=True)
    assert bench.store.runs()[0].ended_at is not None
    bench.session.step()
    assert bench.store.runs()[0].ended_at is None


def test_checkpoints_go_beside_the_history(bench: Bench) -> None:
    """In a directory of the run's own."""
    saved = bench.session.checkpoint()
    assert bench.session.run is not None
    assert Path(saved.path).parent == bench.store.home / "checkpoints" / bench.session.run.id
    assert bench.store.checkpoint(saved.id) == saved


def test_a_run_that_was_deleted_is_begun_anew(bench: Bench) -> None:
    """Somebody deletes the run of an idle session; what it trains next has a run of its own."""
    bench.session.train(batches=3, wait=True)
    first = bench.session.run
    assert first is not None
    bench.store.delete_run(first.id)
    bench.session.train(batches=2, wait=True)
    second = bench.session.run
    assert second is not None
    assert second.id != first.id
    assert second.metrics("loss")[0].tolist() == [4, 5]
