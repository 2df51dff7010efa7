"""Events become rows of the history, in a thread of the recorder's own."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.waiting import LIMIT_S

from detjupyter.definition.config import read_config
from detjupyter.errors import StoreBusyError, StoreError
from detjupyter.protocol.events import (
    ActivityChanged,
    Beat,
    Checkpointed,
    Event,
    FilesUsed,
    Logged,
    MetricsReported,
    StateChanged,
    Validated,
)
from detjupyter.protocol.records import CheckpointRecord, LogLine, RunRecord
from detjupyter.protocol.states import Activity, Group, State
from detjupyter.session import pace, run_writer, unwritten
from detjupyter.session import recorder as recording
from detjupyter.session.kernel import Kernel
from detjupyter.session.recorder import Recorder
from detjupyter.session.records import new_run
from detjupyter.session.unwritten import Unwritten
from detjupyter.store.memory import MemoryStore
from detjupyter.store.run_ids import new_run_id

if TYPE_CHECKING:
    from support.bench import Bench

THREAD = "detjupyter test recorder"


@pytest.fixture
def said() -> list[str]:
    """Return what the recorder says."""
    return []


@pytest.fixture
def recorder(bench: Bench, said: list[str]) -> Iterator[Recorder]:
    """Return a recorder of the bench's session, with no run yet."""
    recorder = Recorder(bench.session.record, said.append, name="test")
    yield recorder
    bench.store.broken = False
    recorder.close(LIMIT_S)
    assert thread() is None


@pytest.fixture
def run(bench: Bench) -> RunRecord:
    """Return a run to begin."""
    return new_run(bench.session.record(), new_run_id(), seed=1, hyperparameters={}, config={}, bundle_hash="0", kernel=Kernel())


def thread() -> threading.Thread | None:
    """Return the recorder's thread, None while it has none."""
    return next((one for one in threading.enumerate() if one.name == THREAD), None)


def begin(recorder: Recorder, bench: Bench, run: RunRecord) -> str:
    """Begin a run in the bench's store and return its id."""
    recorder.begin(lambda: bench.store, run)
    assert recorder.settle(LIMIT_S)
    return run.id


def report(first: int, last: int) -> MetricsReported:
    """Make a report of some batches."""
    batches = np.arange(first, last + 1, dtype=np.int64)
    return MetricsReported(batches, {"loss": batches.astype(np.float64)}, 0)


def line(text: str) -> Logged:
    """Make a line of the log."""
    return Logged((LogLine(0.0, "stdout", text),))


def fail(recorder: Recorder, bench: Bench) -> None:
    """Have the store fail, and wait until the recorder has noticed."""
    bench.store.broken = True
    assert not recorder.settle(LIMIT_S)
    assert recorder.is_in_trouble


class TestWriting:
    """What becomes of the events."""

    def test_what_came_before_the_run_belongs_to_it(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Lines printed during the load are in the history of the run that follows; before the run there is no thread."""
        recorder.add(line("early"))
        recorder.flush_soon()
        assert recorder.settle()
        assert thread() is None
        begin(recorder, bench, run)
        assert [one.text for one in bench.store.log(run.id)[1]] == ["early"]

    def test_without_a_run_what_is_only_of_the_moment_is_not_kept(self, recorder: Recorder) -> None:
        """A session that is never trained does not grow: signs of life and files that are used are dropped at once."""

        class Files(dict[str, bytes]):
            """Can be referred to weakly."""

        files = Files()
        reference = weakref.ref(files)
        recorder.add(Beat())
        recorder.add(FilesUsed(files, (), complete=True))
        del files
        gc.collect()
        assert reference() is None

    def test_a_run_that_was_deleted_leaves_nothing_to_the_next(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """What is reported after the deletion is dropped, and not kept for the run that begins later."""
        begin(recorder, bench, run)
        recorder.add(report(1, 3))
        assert recorder.settle(LIMIT_S)
        bench.store.delete_run(run.id)
        recorder.add(report(4, 6))
        assert recorder.settle(LIMIT_S)
        assert not recorder.has_run(0)
        recorder.add(report(7, 200))
        recorder.add(StateChanged(State.PAUSED, 200))
        assert recorder.settle(LIMIT_S)
        again = begin(recorder, bench, replace(run, id=new_run_id()))
        recorder.add(report(201, 203))
        assert recorder.settle(LIMIT_S)
        assert bench.store.series(again, Group.TRAINING, "loss")[0].tolist() == [201, 202, 203]
        assert bench.store.events(again) == []

    def test_every_kind_of_event_finds_its_place(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Metrics are curves, prints the log, the rest events; what is only of the moment is not kept."""
        saved = CheckpointRecord("c", begin(recorder, bench, run), 3, 1.0, "/there", 5)
        events: list[Event] = [
            report(1, 3),
            ActivityChanged(Activity.VALIDATING, 1, 2),
            Validated(3, {"error": 0.5, "text": "fine", "many": np.array([1.0, np.nan])}),
            StateChanged(State.PAUSED, 3),
            Checkpointed(saved),
        ]
        for event in events:
            recorder.add(event)
        assert recorder.settle(LIMIT_S)
        assert bench.store.series(run.id, Group.TRAINING, "loss")[0].tolist() == [1, 2, 3]
        assert bench.store.series_names(run.id) == [(Group.TRAINING, "loss"), (Group.VALIDATION, "error"), (Group.VALIDATION, "many")]
        assert bench.store.checkpoints(run.id) == [saved]
        assert [event["kind"] for event in bench.store.events(run.id)] == ["validation", "state", "checkpoint"]
        assert bench.store.events(run.id)[0]["metrics"] == {"error": 0.5, "text": "fine", "many": [1.0, "NaN"]}

    def test_curves_of_different_batches_do_not_mix(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Metrics that some batches lack, and one that is named by a number."""
        begin(recorder, bench, run)
        batches = np.array([1, 2, 3])
        columns: Any = {"all": batches * 1.0, "some": batches * 2.0, 7: batches * 3.0}
        recorder.add(MetricsReported(batches, columns, 0, {"some": np.array([True, False, True])}))
        recorder.add(MetricsReported(batches + 3, columns, 0))
        assert recorder.settle(LIMIT_S)
        curves = {name: bench.store.series(run.id, Group.TRAINING, name)[0].tolist() for _, name in bench.store.series_names(run.id)}
        assert curves == {"all": [1, 2, 3, 4, 5, 6], "some": [1, 3, 4, 5, 6], "7": [1, 2, 3, 4, 5, 6]}

    def test_a_name_that_cannot_be_text_costs_its_own_name_only(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """An object whose conversion raises: the rest of the run is still written."""

        class Nameless:
            def __str__(self) -> str:
                raise RuntimeError("no name")

        class Odd(str):
            __slots__ = ()

            def __str__(self) -> str:
                raise RuntimeError("no text")

        begin(recorder, bench, run)
        columns: Any = {"loss": np.array([1.0]), Nameless(): np.array([2.0]), Odd("odd"): np.array([3.0])}
        recorder.add(MetricsReported(np.array([1]), columns, 0))
        assert recorder.settle(LIMIT_S)
        assert sorted(name for _, name in bench.store.series_names(run.id)) == ["(Nameless)", "loss", "odd"]

    def test_what_is_added_is_written_without_anyone_asking(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """The recorder's own clock sees to it."""
        begin(recorder, bench, run)
        written = threading.Event()
        keep = bench.store.append_points

        def append(run_id: str, curves: Any) -> None:
            keep(run_id, curves)
            if curves:
                written.set()

        bench.store.append_points = append  # type: ignore[method-assign]
        recorder.add(report(1, 1))
        assert written.wait(LIMIT_S)

    def test_many_threads_may_add_and_settle(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Nothing is lost, doubled or out of order."""
        begin(recorder, bench, run)
        done = threading.Event()

        def settle() -> None:
            while not done.is_set():
                recorder.settle(LIMIT_S)

        threads = [threading.Thread(target=settle) for _ in range(3)]
        for one in threads:
            one.start()
        for batch in range(1, 301):
            recorder.add(report(batch, batch))
        done.set()
        for one in threads:
            one.join(LIMIT_S)
        assert recorder.settle(LIMIT_S)
        assert bench.store.series_since(run.id, 0)[1][0][2].tolist() == list(range(1, 301))

    @pytest.mark.parametrize("config", [read_config({"searcher": {"metric": f"m{run_writer.LATEST_LIMIT + 9}"}}, Path("nowhere"))])
    def test_only_the_newest_values_of_some_metrics_are_written_with_every_flush(self, bench: Bench) -> None:
        """Ten thousand names do not make every flush long; the curves have all of them, and the best metric stays."""
        names = [f"m{number}" for number in range(run_writer.LATEST_LIMIT + 50)]
        bench.adapter.on_batch = lambda _: dict.fromkeys(names, 0.5)
        bench.adapter.validation_metrics = dict.fromkeys(names, 0.5)
        bench.session.train(batches=1, wait=True)
        bench.settle_record()
        (run,) = bench.store.runs()
        session = bench.store.run(run.id).session
        assert session is not None
        assert session.best is not None
        most = run_writer.LATEST_LIMIT + 1  # the best metric comes late
        assert {group: len(values) for group, values in session.latest.items()} == {"training": most, "validation": most}
        assert session.best.name == f"m{run_writer.LATEST_LIMIT + 9}"
        assert session.best.name in session.latest["validation"]
        assert len(bench.store.series_names(run.id)) == 2 * len(names)

    def test_an_end_keeps_its_time(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Later writes do not move the end of a run."""
        begin(recorder, bench, run)
        ended_at = bench.store.run(run.id).ended_at
        assert ended_at is not None
        assert recorder.settle(LIMIT_S)
        assert bench.store.run(run.id).ended_at == ended_at


def test_a_slow_store_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a training the history has all of it, also if writing takes longer than a button may wait."""
    transaction = bench.store.transaction
    delays_s: Iterator[float] = iter(())

    def slow(*, wait_s: float | None = None) -> Any:
        time.sleep(next(delays_s, 0.0))
        return transaction(wait_s=wait_s)

    monkeypatch.setattr(bench.store, "transaction", slow)
    bench.session.train(batches=5, wait=True)
    trained = bench.session.run
    assert trained is not None
    bench.adapter.gate.clear()
    bench.session.train(batches=5)
    bench.adapter.wait_at_gate()
    delays_s = iter([0.7])
    bench.adapter.gate.set()
    bench.session.wait()
    assert trained.record.batches_trained == 10


class TestAStoreThatFails:
    """Nothing is lost, no caller waits, and the log has one line for the start and one for the end."""

    def test_what_could_not_be_written_comes_before_what_came_later(
        self, recorder: Recorder, bench: Bench, run: RunRecord, said: list[str]
    ) -> None:
        """Order is kept over failed attempts, and the end of the trouble is announced after a count."""
        begin(recorder, bench, run)
        bench.store.broken = True
        for batch in range(1, 6):
            recorder.add(report(batch, batch))
            recorder.add(line(str(batch)))
            recorder.add(StateChanged(State.RUNNING, batch))
            recorder.settle(LIMIT_S)
        bench.store.broken = False
        recorder.add(report(6, 6))
        assert recorder.close(LIMIT_S)
        assert bench.store.series(run.id, Group.TRAINING, "loss")[1].tolist() == [1, 2, 3, 4, 5, 6]
        assert [one.text for one in bench.store.log(run.id)[1]] == ["1", "2", "3", "4", "5"]
        assert [event["batches_trained"] for event in bench.store.events(run.id)] == [1, 2, 3, 4, 5]
        assert len(said) == 2
        assert said[0].startswith("Saving failed; training continues")
        assert said[1] == "Saving works again; no data was lost."

    def test_it_is_tried_again_without_anyone_asking(
        self, recorder: Recorder, bench: Bench, run: RunRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a pause."""
        begin(recorder, bench, run)
        fail(recorder, bench)
        attempts = threading.Semaphore(0)

        def transaction(*, wait_s: float | None = None) -> Any:
            attempts.release()
            raise StoreError("no")

        monkeypatch.setattr(pace, "FLUSH_INTERVAL_S", 0.05)  # the first pause, which doubles with each attempt
        monkeypatch.setattr(bench.store, "transaction", transaction)
        for _ in range(3):
            assert attempts.acquire(timeout=LIMIT_S)
        monkeypatch.undo()

    def test_a_store_that_has_failed_can_be_tried_again_at_once(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Its failure may be over; if it is not, the call returns after the attempt."""
        begin(recorder, bench, run)
        fail(recorder, bench)
        assert not recorder.settle(LIMIT_S, tries_again=True)
        bench.store.broken = False
        assert recorder.settle(LIMIT_S, tries_again=True)
        assert not recorder.is_in_trouble

    def test_an_attempt_that_fails_half_way_is_not_written_twice(
        self, recorder: Recorder, bench: Bench, run: RunRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flush is one transaction."""
        begin(recorder, bench, run)
        recorder.add(report(1, 2))
        recorder.add(line("once"))
        monkeypatch.setattr(bench.store, "append_log", None)
        assert not recorder.settle(LIMIT_S)
        monkeypatch.undo()
        assert recorder.close(LIMIT_S)
        assert bench.store.series_since(run.id, 0)[1][0][2].tolist() == [1, 2]
        assert [one.text for one in bench.store.log(run.id)[1]] == ["once"]

    def test_callers_are_answered_while_the_store_hangs(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """Adding, asking and settling return while the recorder's thread is stuck in the store."""
        begin(recorder, bench, run)
        is_stuck, go_on = threading.Event(), threading.Event()

        def hang() -> None:
            is_stuck.set()
            go_on.wait(LIMIT_S)

        recorder.submit(hang)
        assert is_stuck.wait(LIMIT_S)
        recorder.add(report(1, 1))
        recorder.flush_soon()
        recorder.beat()
        assert not recorder.settle(0.01)
        assert recorder.has_run(0.01)
        assert not recorder.close(0.01)
        go_on.set()
        assert recorder.settle(LIMIT_S)
        assert bench.store.series(run.id, Group.TRAINING, "loss")[0].tolist() == [1]

    def test_what_is_missing_is_counted(self, recorder: Recorder, bench: Bench, run: RunRecord, said: list[str]) -> None:
        """A store that forgets while it cannot be written does not pass as whole."""
        begin(recorder, bench, run)
        recorder.add(report(1, 10))
        recorder.add(line("gone"))
        assert recorder.settle(LIMIT_S)
        fail(recorder, bench)
        bench.store._find(run.id).chunks.clear()
        bench.store._find(run.id).lines.clear()
        bench.store.broken = False
        recorder.add(report(11, 11))
        assert recorder.close(LIMIT_S)
        assert said[-1] == "Saving works again; missing from the history: 10 metric values, 1 log line."

    def test_log_lines_wait_up_to_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The newest stay, and how many do not is known; everything else waits without limit."""
        monkeypatch.setattr(unwritten, "LOG_LINES_LIMIT", 3)
        waiting = Unwritten()
        for number in range(5):
            waiting.take(line(str(number)), 0.0)
            waiting.take(report(number + 1, number + 1), 0.0)
        store = MemoryStore()
        store.create_run(_run("r"))
        waiting.write(store, "r")
        assert waiting.dropped_lines == 2
        assert [one.text for one in store.log("r")[1]] == ["2", "3", "4"]
        assert waiting.counts() == store.counts("r") == (5, 3, 0)
        store.close()


class TestBeginning:
    """A run is created in the recorder's thread."""

    def test_what_follows_runs_there_with_the_store(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """After the run is created; the store can be waited for."""
        seen: list[Any] = []

        def then(store: Any) -> None:
            seen.extend((threading.current_thread().name, store.run(run.id).id))

        recorder.begin(lambda: bench.store, run, then)
        assert recorder.run_id == run.id
        assert recorder.wait_for_store(LIMIT_S) is bench.store
        assert recorder.settle(LIMIT_S)
        assert seen == [THREAD, run.id]

    def test_a_history_that_cannot_be_opened_is_replaced_by_one_in_memory(
        self, recorder: Recorder, run: RunRecord, said: list[str]
    ) -> None:
        """The log says so, and nothing is missing there."""

        def refuse() -> MemoryStore:
            raise StoreError("The directory is read-only.")

        recorder.add(report(1, 2))
        recorder.begin(refuse, run)
        assert recorder.settle(LIMIT_S)
        assert isinstance(recorder.store, MemoryStore)
        assert recorder.store.series(run.id, Group.TRAINING, "loss")[0].tolist() == [1, 2]
        assert said == ["The history is not saved: The directory is read-only."]

    def test_a_history_that_is_busy_is_waited_for(self, recorder: Recorder, bench: Bench, run: RunRecord, said: list[str]) -> None:
        """If another process holds the lock, the run is not kept in memory only."""
        refusals = iter([StoreBusyError("busy")])

        def open_store() -> MemoryStore:
            for refusal in refusals:
                raise refusal
            return bench.store

        recorder.begin(open_store, run)
        recorder.add(report(1, 2))
        assert recorder.has_run(0)
        assert recorder.close(LIMIT_S)
        assert recorder.store is bench.store
        assert bench.store.series(run.id, Group.TRAINING, "loss")[0].tolist() == [1, 2]
        assert said[-1] == "Saving works again; no data was lost."

    def test_a_run_that_was_deleted_is_known_to_be(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """And what is begun after it has its events to itself."""
        begin(recorder, bench, run)
        assert recorder.has_run(LIMIT_S)
        bench.store.delete_run(run.id)
        recorder.add(line("of the deleted run"))
        assert not recorder.has_run(LIMIT_S)
        assert not recorder.has_run(0)
        other = _run("other")
        recorder.begin(lambda: bench.store, other)
        recorder.add(line("of the other"))
        assert recorder.has_run(LIMIT_S)
        assert [one.text for one in bench.store.log("other")[1]] == ["of the other"]


class TestTasks:
    """Small work that belongs to the store."""

    def test_a_task_finds_written_what_was_added_before(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """And what was added after it comes later; a task may add and submit."""
        begin(recorder, bench, run)
        seen: list[Any] = []

        def task() -> None:
            seen.append([one.text for one in bench.store.log(run.id)[1]])
            assert not recorder.settle(LIMIT_S)  # it would wait for itself
            recorder.submit(lambda: seen.append([one.text for one in bench.store.log(run.id)[1]]))

        recorder.add(line("before"))
        recorder.submit(task)
        recorder.add(line("after"))
        assert recorder.settle(LIMIT_S)
        assert recorder.settle(LIMIT_S)
        assert seen == [["before"], ["before", "after"]]

    def test_a_task_that_fails_is_said_and_not_repeated(self, recorder: Recorder, bench: Bench, run: RunRecord, said: list[str]) -> None:
        """Everything after it is still done."""
        begin(recorder, bench, run)
        recorder.submit(lambda: 1 / 0)
        recorder.add(line("after"))
        assert recorder.settle(LIMIT_S)
        assert said == ["ZeroDivisionError: division by zero"]
        assert [one.text for one in bench.store.log(run.id)[1]] == ["after"]

    def test_a_task_waits_for_a_store_that_fails(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """It may delete what the store has to know first."""
        begin(recorder, bench, run)
        fail(recorder, bench)
        seen: list[bool] = []
        recorder.submit(lambda: seen.append(bench.store.broken))
        recorder.settle(LIMIT_S)
        bench.store.broken = False
        assert recorder.close(LIMIT_S)
        assert seen == [False]


class TestTheThread:
    """It is there while there is something to write."""

    def test_it_ends_when_nothing_comes(self, recorder: Recorder, bench: Bench, run: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
        """And the next event begins another."""
        monkeypatch.setattr(recording, "LINGER_S", 0.01)
        begin(recorder, bench, run)
        first = thread()
        if first is not None:
            first.join(LIMIT_S)
        assert thread() is None
        recorder.add(report(1, 1))
        assert recorder.settle(LIMIT_S)
        assert bench.store.series(run.id, Group.TRAINING, "loss")[0].tolist() == [1]

    def test_it_does_not_keep_the_process_alive(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """It is a daemon, and closing joins it; closing twice is harmless."""
        begin(recorder, bench, run)
        recorder.add(report(1, 1))
        running = thread()
        assert running is None or running.daemon
        assert recorder.close(LIMIT_S)
        assert recorder.close(LIMIT_S)
        assert thread() is None
        assert recorder.settle(LIMIT_S)
        assert thread() is None, "there was nothing to write"

    def test_closing_after_a_failure_ends_it_at_once(self, bench: Bench, run: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
        """The line "Saving works again" reaches the log through the recorder itself, in the middle of the closing, and is written, too."""
        monkeypatch.setattr(recording, "LINGER_S", 10 * LIMIT_S)
        lines: list[str] = []
        recorder = Recorder(bench.session.record, lambda text: (lines.append(text), recorder.add(line(text))), name="test")
        begin(recorder, bench, run)
        bench.store.broken = True
        recorder.add(report(1, 1))
        assert not recorder.settle(LIMIT_S)
        bench.store.broken = False
        assert recorder.close(LIMIT_S)
        assert thread() is None
        assert [one.text for one in bench.store.log(run.id)[1]] == lines
        assert lines[-1] == "Saving works again; no data was lost."

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_forked_child_writes_nothing(self, recorder: Recorder, bench: Bench, run: RunRecord) -> None:
        """The run belongs to the parent, and a lock held during the fork blocks nothing."""
        begin(recorder, bench, run)
        with recorder._changed:  # at the worst moment
            child = os.fork()
            if not child:
                status = 1
                try:
                    recorder.add(report(1, 1))
                    recorder.flush_soon()
                    recorder.submit(lambda: None)
                    status = 0 if not recorder.settle(LIMIT_S) and recorder.close(LIMIT_S) and recorder._thread is None else 2
                finally:
                    os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        recorder.add(report(5, 5))
        assert recorder.settle(LIMIT_S)
        assert bench.store.series(run.id, Group.TRAINING, "loss")[0].tolist() == [5]


class TestASession:
    """The recorder as a session uses it."""

    def test_a_run_that_has_ended_says_when(self, bench: Bench) -> None:
        """And continues without an end if it is trained again."""
        bench.session.train(batches=1, wait=True)
        assert bench.store.runs()[0].ended_at is not None
        bench.session.step()
        assert bench.store.runs()[0].ended_at is None

    def test_checkpoints_go_beside_the_history(self, bench: Bench) -> None:
        """In a directory of the run's own."""
        saved = bench.session.checkpoint()
        assert bench.session.run is not None
        assert Path(saved.path).parent == bench.store.home / "checkpoints" / bench.session.run.id
        assert bench.store.checkpoint(saved.id) == saved

    def test_a_run_that_was_deleted_is_begun_anew(self, bench: Bench) -> None:
        """The user deletes the run of an idle session; its next training has a new run."""
        bench.session.train(batches=3, wait=True)
        first = bench.session.run
        assert first is not None
        bench.store.delete_run(first.id)
        bench.session.train(batches=2, wait=True)
        second = bench.session.run
        assert second is not None
        assert second.id != first.id
        assert second.metrics("loss")[0].tolist() == [4, 5]


def _run(run_id: str) -> RunRecord:
    return RunRecord(run_id, State.READY, "m:T", "d", "/d", "toy", "toy", 0, {}, {}, "", None, "h", 1, 1.0, 1.0, None, 0, None, None)
