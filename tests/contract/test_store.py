"""What every store promises (see the prose of ``detjupyter.store.base``), asked of each of them."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detjupyter.errors import CheckpointError, RunNotFoundError, StoreError
from detjupyter.protocol.records import BestRecord, CheckpointRecord, ErrorRecord, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Activity, Group, State
from detjupyter.store import Store, open_store
from detjupyter.store.memory import MemoryStore

MakeRun = Callable[..., RunRecord]


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A fresh, empty store of each kind."""
    fresh = MemoryStore(tmp_path) if request.param == "memory" else open_store(tmp_path / "runs.sqlite")
    yield fresh
    fresh.close()


def make_session(**changes: Any) -> SessionRecord:
    """Return a session with something in every kind of field."""
    session = SessionRecord(
        session_id="s1",
        run_id="r1",
        entrypoint="model_def:Trial",
        definition="digits",
        definition_root="/there/digits",
        framework="pytorch",
        device="cpu",
        state=State.RUNNING,
        activity=Activity.TRAINING,
        batches_trained=7,
        records_trained=448,
        batches_per_epoch=20,
        plan_start_batches=0,
        plan_target_batches=100,
        validation_done=None,
        validation_total=None,
        batches_per_second=12.5,
        records_per_second=math.inf,
        elapsed_s=0.5,
        eta_s=None,
        latest={"training": {"loss": 0.25}},
        best=BestRecord("accuracy", 0.5, 7, smaller_is_better=False),
        error=ErrorRecord("ValueError", "no", "line 1\nline 2"),
    )
    return replace(session, **changes)


def make_run(run_id: str = "r1", **changes: Any) -> RunRecord:
    """Return a live run of this process, with awkward values in it."""
    run = RunRecord(
        id=run_id,
        state=State.RUNNING,
        entrypoint="model_def:Trial",
        definition="digits",
        definition_root="/there/digits",
        framework="pytorch",
        device="cpu",
        seed=2**64 - 1,
        hyperparameters={"lr": 0.1, "layers": [1, 2], "nested": {"name": "ü'\"; DROP TABLE runs; --"}},
        config={"searcher": {"metric": "accuracy"}},
        bundle_hash="ab" * 32,
        kernel_id=None,
        host=socket.gethostname(),
        pid=os.getpid(),
        created_at=1000.0,
        updated_at=time.time(),
        ended_at=None,
        batches_trained=0,
        best=None,
        session=make_session(),
    )
    return replace(run, **changes)


def finish(store: Store, run_id: str, state: State = State.FINISHED) -> None:
    """End the run in ``state``."""
    store.update_run(run_id, state=state, session=None, best=None, batches_trained=1, ended_at=time.time())


def points(first: int, count: int, factor: float = 1.0) -> tuple[Any, Any]:
    """Return ``count`` points from batch ``first`` on, each value ``factor`` times its batch."""
    batches = np.arange(first, first + count, dtype=np.int64)
    return batches, batches * factor


@pytest.fixture
def ended_pid() -> int:
    """The id of a process that has been and gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class TestRuns:
    """Writing, listing and deleting runs."""

    def test_a_run_comes_back_as_it_was_written(self, store: Store) -> None:
        """Every field survives, nested records, a 64-bit seed and quotes included."""
        run = make_run()
        store.create_run(run)
        assert store.run("r1") == run
        assert store.runs() == [run]

    def test_any_text_is_an_id(self, store: Store) -> None:
        """Ids are data: quotes, SQL, slashes and the empty string are nothing special."""
        for run_id in ("", "'; DELETE FROM runs; --", "../x", "läuft", "%", "a\x00b"):
            store.create_run(make_run(run_id))
            assert store.run(run_id).id == run_id

    def test_the_same_id_twice_is_refused(self, store: Store) -> None:
        """The first run stays as it was."""
        store.create_run(make_run())
        with pytest.raises(StoreError, match="already there"):
            store.create_run(make_run(device="cuda"))
        assert store.run("r1").device == "cpu"

    def test_an_update_writes_where_the_run_stands(self, store: Store) -> None:
        """State, session, best, batches and end are replaced; updated_at is the present."""
        store.create_run(make_run(updated_at=5.0))
        best = BestRecord("accuracy", math.nan, 9, smaller_is_better=False)
        session = make_session(state=State.STOPPED, elapsed_s=3.0)
        before = time.time()
        store.update_run("r1", state=State.STOPPED, session=session, best=best, batches_trained=9, ended_at=12.0)
        run = store.run("r1")
        assert (run.state, run.session, run.batches_trained, run.ended_at) == (State.STOPPED, session, 9, 12.0)
        assert run.best is not None
        assert math.isnan(run.best.value)
        assert before <= run.updated_at <= time.time()

    def test_runs_are_listed_newest_first_in_pages(self, store: Store) -> None:
        """``before`` continues where a page ended, also among runs created in the same moment; updates change nothing."""
        for number in range(7):
            store.create_run(make_run(f"r{number}", created_at=1000.0 + number // 3, state=State.FINISHED))
        finish(store, "r0")
        newest = ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]
        assert [run.id for run in store.runs()] == newest
        assert [run.id for run in store.runs(limit=2)] == newest[:2]
        paged = []
        while page := store.runs(limit=2, before=paged[-1] if paged else None):
            paged += [run.id for run in page]
        assert paged == newest

    def test_watchers_get_only_the_runs_that_changed(self, store: Store) -> None:
        """``runs_updated_since`` the last one seen returns what was written later, the earliest first."""
        for number in range(4):
            store.create_run(make_run(f"r{number}", state=State.FINISHED, updated_at=10.0 + number))
        assert [run.id for run in store.runs_updated_since(11.0)] == ["r2", "r3"]
        seen = time.time()
        finish(store, "r3")
        finish(store, "r0")
        assert [run.id for run in store.runs_updated_since(seen)] == ["r3", "r0"]

    def test_a_deleted_run_takes_everything_along(self, store: Store) -> None:
        """Its curves, log, events and checkpoints are gone, those of others stay."""
        for run_id in ("r1", "r2"):
            store.create_run(make_run(run_id))
            store.append_series(run_id, Group.TRAINING, "loss", *points(1, 3))
            store.append_log(run_id, [LogLine(1.0, "stdout", run_id)])
            store.append_event(run_id, {"kind": "state"})
            store.add_checkpoint(CheckpointRecord(f"c-{run_id}", run_id, 3, 1.0, "/there", 10))
            finish(store, run_id)
        store.delete_run("r1")
        assert [run.id for run in store.runs()] == ["r2"]
        with pytest.raises(CheckpointError):
            store.checkpoint("c-r1")
        store.create_run(make_run("r1"))
        assert store.series_names("r1") == []
        assert store.events("r1") == []
        assert store.checkpoints("r1") == []
        assert store.log("r1")[1] == []
        assert len(store.series("r2", Group.TRAINING, "loss")[0]) == 3

    def test_a_live_run_is_not_deleted(self, store: Store) -> None:
        """Its driver still writes; the message says to stop it first."""
        store.create_run(make_run())
        with pytest.raises(StoreError, match="Stop it first"):
            store.delete_run("r1")
        assert store.run("r1").state is State.RUNNING

    @pytest.mark.parametrize(
        "ask",
        [
            lambda store: store.run("no"),
            lambda store: store.runs(before="no"),
            lambda store: store.delete_run("no"),
            lambda store: finish(store, "no"),
            lambda store: store.append_series("no", Group.TRAINING, "loss", *points(1, 2)),
            lambda store: store.append_event("no", {}),
            lambda store: store.append_log("no", [LogLine(1.0, "stdout", "")]),
            lambda store: store.add_checkpoint(CheckpointRecord("c", "no", 1, 1.0, "/there", 1)),
            lambda store: store.series_names("no"),
            lambda store: store.series("no", Group.TRAINING, "loss"),
            lambda store: store.series_since("no", 0),
            lambda store: store.log("no"),
            lambda store: store.events("no"),
            lambda store: store.checkpoints("no"),
        ],
    )
    def test_a_run_that_is_not_there_is_named(self, store: Store, ask: Callable[[Store], object]) -> None:
        """Every method raises RunNotFoundError with the id."""
        with pytest.raises(RunNotFoundError, match="'no'") as caught:
            ask(store)
        assert caught.value.run_id == "no"


class TestOwnership:
    """A live run is live only as long as its process."""

    @pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
    @pytest.mark.parametrize("read", ["run", "runs", "updated", "before_delete"])
    def test_a_live_run_without_its_process_is_interrupted(self, store: Store, ended_pid: int, state: State, read: str) -> None:
        """Whoever reads it first writes so; it ended when it was last heard of, and watchers hear of it."""
        store.create_run(make_run(pid=ended_pid, state=state, updated_at=1234.5))
        started = time.time()
        if read == "run":
            run = store.run("r1")
        elif read == "runs":
            (run,) = store.runs()
        elif read == "updated":
            (run,) = store.runs_updated_since(started - 1)
        else:
            run = store.run("r1")
            store.delete_run("r1")
            assert store.runs() == []
        assert (run.state, run.ended_at) == (State.INTERRUPTED, 1234.5)
        assert run.updated_at >= started
        if read != "before_delete":
            assert store.run("r1") == run

    def test_a_run_of_another_process_lives_as_long_as_that_does(self, store: Store) -> None:
        """Whoever asks looks the owner up, the owner need not be the one who asks."""
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        store.create_run(make_run(pid=process.pid))
        assert store.run("r1").state is State.RUNNING
        process.communicate(b"\n")
        assert store.run("r1").state is State.INTERRUPTED

    def test_a_killed_process_counts_as_gone_before_its_parent_noticed(self, store: Store) -> None:
        """A zombie writes nothing any more."""
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        store.create_run(make_run(pid=process.pid))
        process.kill()
        deadline = time.monotonic() + 10
        while store.run("r1").state is State.RUNNING and time.monotonic() < deadline:
            time.sleep(0.01)
        assert store.run("r1").state is State.INTERRUPTED
        process.communicate()

    def test_our_own_live_runs_stay(self, store: Store) -> None:
        """The process that asks is alive."""
        store.create_run(make_run(updated_at=5.0))
        assert store.run("r1").state is State.RUNNING

    def test_another_hosts_run_is_given_up_after_five_minutes_of_silence(self, store: Store) -> None:
        """Its processes cannot be looked up, whatever their pid is here."""
        now = time.time()
        store.create_run(make_run("talks", host="elsewhere.example", updated_at=now - 240))
        store.create_run(make_run("silent", host="elsewhere.example", updated_at=now - 301))
        assert store.run("talks").state is State.RUNNING
        assert store.run("silent").state is State.INTERRUPTED
        assert store.run("silent").ended_at == now - 301

    def test_an_owner_given_up_too_early_takes_its_run_back(self, store: Store) -> None:
        """Its next update makes the run live again."""
        store.create_run(make_run(host="elsewhere.example", updated_at=5.0))
        assert store.run("r1").state is State.INTERRUPTED
        store.update_run("r1", state=State.RUNNING, session=None, best=None, batches_trained=3, ended_at=None)
        assert store.run("r1").state is State.RUNNING
        assert store.run("r1").ended_at is None

    def test_a_run_that_ended_stays_as_it_ended(self, store: Store, ended_pid: int) -> None:
        """Only running and paused runs need their process."""
        for state in set(State) - {State.RUNNING, State.PAUSED}:
            store.create_run(make_run(state.value, pid=ended_pid, state=state))
            assert store.run(state.value).state is state


class TestSeries:
    """Curves, whole and by their tail."""

    def test_points_come_back_in_order_whatever_the_chunks(self, store: Store) -> None:
        """Consecutive or not, NaN, infinities and the smallest numbers survive bit by bit."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 5, 0.1))
        odd = np.array([10, 12, 2**53 + 1]), np.array([math.nan, -math.inf, 5e-324])
        store.append_series("r1", Group.TRAINING, "loss", *odd)
        store.append_series("r1", Group.TRAINING, "loss", *points(2**53 + 2, 1))
        batches, values = store.series("r1", Group.TRAINING, "loss")
        assert batches.dtype == np.int64
        assert values.dtype == np.float64
        assert batches.tolist() == [1, 2, 3, 4, 5, 10, 12, 2**53 + 1, 2**53 + 2]
        assert values[5:8].tobytes() == odd[1].tobytes()

    def test_curves_are_told_apart_by_group_and_name(self, store: Store) -> None:
        """The names come in the order of the first points."""
        store.create_run(make_run())
        keys = [(Group.TRAINING, "loss"), (Group.VALIDATION, "loss"), (Group.TRAINING, "accuracy")]
        for factor, (group, name) in enumerate(keys):
            store.append_series("r1", group, name, *points(1, 2, factor))
        assert store.series_names("r1") == keys
        for factor, (group, name) in enumerate(keys):
            assert store.series("r1", group, name)[1].tolist() == [factor, 2 * factor]

    def test_a_curve_that_is_not_there_is_empty(self, store: Store) -> None:
        """Nothing was reported under that name (yet), which is no error; nor is appending nothing."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 0))
        batches, values = store.series("r1", Group.TRAINING, "loss")
        assert (batches.dtype, values.dtype, len(batches), len(values)) == (np.int64, np.float64, 0, 0)
        assert store.series_names("r1") == []

    def test_later_points_replace_the_earlier_ones_from_their_batch_on(self, store: Store) -> None:
        """After a restore the curve is that of the weights at hand."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 10))
        store.append_series("r1", Group.TRAINING, "loss", *points(4, 3, -1.0))
        batches, values = store.series("r1", Group.TRAINING, "loss")
        assert batches.tolist() == [1, 2, 3, 4, 5, 6]
        assert values.tolist() == [1, 2, 3, -4, -5, -6]

    def test_the_tail_is_read_by_cursor(self, store: Store) -> None:
        """Every point is read once; curves of other runs do not show."""
        for run_id in ("r1", "r2"):
            store.create_run(make_run(run_id))
        cursor, news = store.series_since("r1", 0)
        assert news == []
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
        store.append_series("r1", Group.VALIDATION, "loss", *points(2, 1))
        store.append_series("r2", Group.TRAINING, "loss", *points(1, 9))
        store.append_series("r1", Group.TRAINING, "loss", *points(3, 2))
        cursor, news = store.series_since("r1", cursor)
        assert [(group, name, batches.tolist()) for group, name, batches, _ in news] == [
            (Group.TRAINING, "loss", [1, 2, 3, 4]),
            (Group.VALIDATION, "loss", [2]),
        ]
        assert store.series_since("r1", cursor) == (cursor, [])
        store.append_series("r1", Group.TRAINING, "loss", *points(2, 1, -1.0))
        cursor, news = store.series_since("r1", cursor)
        assert [batches.tolist() for _, _, batches, _ in news] == [[2]]

    def test_what_the_caller_does_with_his_buffers_later_changes_nothing(self, store: Store) -> None:
        """Drivers use their buffers again."""
        store.create_run(make_run())
        batches, values = points(1, 3)
        store.append_series("r1", Group.TRAINING, "loss", batches, values)
        values[:] = -1
        read = store.series("r1", Group.TRAINING, "loss")[1]
        read[:] = -2
        assert store.series("r1", Group.TRAINING, "loss")[1].tolist() == [1, 2, 3]

    def test_arrays_that_do_not_fit_each_other_are_refused(self, store: Store) -> None:
        """A slip of the caller's, told by the shapes."""
        store.create_run(make_run())
        with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
            store.append_series("r1", Group.TRAINING, "loss", points(1, 2)[0], points(1, 3)[1])


class TestLogEventsCheckpoints:
    """What else a run keeps."""

    def test_the_log_is_read_by_cursor(self, store: Store) -> None:
        """Each line once, in order; ``last`` asks for the end only."""
        store.create_run(make_run())
        assert store.log("r1") == (0, [])
        lines = [LogLine(float(number), "stdout", f"line {number} ü\n") for number in range(5)]
        store.append_log("r1", lines[:3])
        cursor, read = store.log("r1")
        assert read == lines[:3]
        store.append_log("r1", lines[3:])
        store.append_log("r1", [])
        cursor, read = store.log("r1", cursor)
        assert read == lines[3:]
        assert store.log("r1", cursor) == (cursor, [])
        assert store.log("r1", last=2) == (cursor, lines[3:])
        assert store.log("r1", last=99)[1] == lines

    def test_output_that_is_not_unicode_is_kept_somehow(self, store: Store) -> None:
        """Undecodable bytes reach us as lone surrogates; they must not stop a flush."""
        store.create_run(make_run(definition_root="/d\udcff", hyperparameters={"name": "\udcff"}))
        store.append_log("r1", [LogLine(1.0, "stdout", "fine"), LogLine(1.0, "stdout", "ü\udcff")])
        assert [line.text[0] for line in store.log("r1")[1]] == ["f", "ü"]
        assert store.run("r1").definition_root.startswith("/d")

    def test_events_come_back_in_order(self, store: Store) -> None:
        """As JSON: numbers that JSON lacks by their names."""
        store.create_run(make_run())
        store.append_event("r1", {"kind": "validation", "metrics": {"loss": math.nan, "shape": (1, 2)}})
        store.append_event("r1", {"kind": "state", "state": State.PAUSED})
        assert store.events("r1") == [
            {"kind": "validation", "metrics": {"loss": "NaN", "shape": [1, 2]}},
            {"kind": "state", "state": "paused"},
        ]

    def test_checkpoints_are_found_by_run_and_by_id(self, store: Store) -> None:
        """In the order in which they were added; ids are unique over all runs."""
        for run_id in ("r1", "r2"):
            store.create_run(make_run(run_id))
        records = [
            CheckpointRecord(
                f"c{number}", "r1", number, 100.0 - number, "/there", 10**10, automatic=number > 0, metric=(None, 0.5, math.inf)[number]
            )
            for number in range(3)
        ]
        for record in records:
            store.add_checkpoint(record)
        assert store.checkpoints("r1") == records
        assert store.checkpoints("r2") == []
        assert store.checkpoint("c1") == records[1]
        with pytest.raises(StoreError, match="already there"):
            store.add_checkpoint(replace(records[0], run_id="r2"))

    def test_a_checkpoint_that_is_not_there_is_named(self, store: Store) -> None:
        """It is the checkpoint that is missing, not the store that failed."""
        with pytest.raises(CheckpointError, match="'no'"):
            store.checkpoint("no")

    def test_a_checkpoint_can_be_forgotten(self, store: Store) -> None:
        """Also one of a live run; the others stay in their order, and a transaction that fails forgets nothing."""
        store.create_run(make_run())
        records = [CheckpointRecord(f"c{number}", "r1", number, 1.0, "/there", 1) for number in range(3)]
        for record in records:
            store.add_checkpoint(record)

        def fail() -> None:
            with store.transaction():
                store.delete_checkpoint("c1")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert store.checkpoints("r1") == records
        token = store.change_token()
        store.delete_checkpoint("c1")
        assert store.change_token() != token
        assert store.checkpoints("r1") == [records[0], records[2]]
        with pytest.raises(CheckpointError, match="'c1'"):
            store.delete_checkpoint("c1")

    def test_checkpoints_have_a_home(self, store: Store, tmp_path: Path) -> None:
        """The files of checkpoints live beside the history."""
        assert store.home == tmp_path


class TestTransactions:
    """All of it or nothing, from any thread."""

    def test_an_exception_leaves_nothing_behind(self, store: Store) -> None:
        """Not even what an inner block had finished."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
        before = store.run("r1")

        def fail() -> None:
            with store.transaction():
                store.create_run(make_run("r2"))
                with store.transaction():
                    store.append_series("r1", Group.TRAINING, "loss", *points(3, 2))
                    store.append_log("r1", [LogLine(1.0, "stdout", "x")])
                store.append_event("r1", {})
                store.add_checkpoint(CheckpointRecord("c", "r1", 1, 1.0, "/there", 1))
                finish(store, "r1")
                store.delete_run("r1")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert store.runs() == [before]
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [1, 2]
        assert store.log("r1")[1] == []
        assert store.events("r1") == []
        assert store.checkpoints("r1") == []

    def test_the_thread_inside_sees_its_own_writes(self, store: Store) -> None:
        """Reading in the middle of a transaction shows what it wrote so far."""
        with store.transaction():
            store.create_run(make_run())
            store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
            assert store.run("r1").state is State.RUNNING
            assert len(store.series("r1", Group.TRAINING, "loss")[0]) == 2

    def test_other_threads_never_see_half_of_it(self, store: Store) -> None:
        """A reader finds the two curves of one transaction of equal length, always."""
        store.create_run(make_run())
        done = threading.Event()
        lengths: list[tuple[int, ...]] = []

        def read() -> None:
            while not done.is_set():
                lengths.append(tuple(len(batches) for *_, batches, _ in store.series_since("r1", 0)[1]))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(50):
            with store.transaction():
                store.append_series("r1", Group.TRAINING, "loss", *points(1 + number, 1))
                store.append_series("r1", Group.TRAINING, "accuracy", *points(1 + number, 1))
        done.set()
        reader.join()
        assert len(lengths) > 1
        assert all(not both or (len(both) == 2 and both[0] == both[1]) for both in lengths)

    def test_threads_write_at_once_and_lose_nothing(self, store: Store) -> None:
        """Eight threads on one store, each with a curve of its own."""
        store.create_run(make_run())
        errors: list[BaseException] = []

        def write(name: str) -> None:
            try:
                for number in range(25):
                    with store.transaction():
                        store.append_series("r1", Group.TRAINING, name, *points(1 + 2 * number, 2))
                        store.append_log("r1", [LogLine(0.0, name, str(number))])
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(f"m{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(store.series_names("r1")) == 8
        assert all(len(store.series("r1", *key)[0]) == 50 for key in store.series_names("r1"))
        assert len(store.log("r1")[1]) == 200


class TestChangeToken:
    """How watchers notice that there is something new."""

    def test_it_changes_with_every_write_and_only_then(self, store: Store) -> None:
        """Reading and asking change nothing."""
        tokens = [store.change_token()]

        def changed() -> bool:
            store.runs()
            tokens.append(store.change_token())
            return tokens[-1] != tokens[-2]

        assert not changed()
        store.create_run(make_run())
        assert changed()
        assert not changed()
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
        assert changed()
        store.append_log("r1", [LogLine(1.0, "stdout", "x")])
        assert changed()
        finish(store, "r1")
        assert changed()
        store.delete_run("r1")
        assert changed()
        assert not changed()


class TestClosing:
    """What is left of a store afterwards."""

    def test_a_closed_store_says_so(self, store: Store) -> None:
        """Closing twice is harmless, everything else raises."""
        store.close()
        store.close()
        for ask in (store.runs, store.change_token, lambda: store.create_run(make_run())):
            with pytest.raises(StoreError, match="closed"):
                ask()
