"""What every store promises about runs and their owners (see ``detjupyter.store.base``)."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.runs import finish, make_run, make_session, points
from support.waiting import wait_until

from detjupyter.errors import ArgumentError, CheckpointError, RunNotFoundError, StoreError
from detjupyter.protocol.records import BestRecord, CheckpointRecord, LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store
from detjupyter.store.annotation import MOST_TAGS, Annotation
from detjupyter.store.base import SeriesPoints
from detjupyter.store.summary import summary_of


@pytest.fixture
def ended_pid() -> int:
    """The id of a process that has been and gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def add_whole_run(store: Store, run_id: str) -> None:
    """Add a finished run with a curve, a line of its log, an event and a checkpoint."""
    store.create_run(make_run(run_id))
    store.append_series(run_id, Group.TRAINING, "loss", *points(1, 3))
    store.append_log(run_id, [LogLine(1.0, "stdout", run_id)])
    store.append_event(run_id, {"kind": "state"})
    store.add_checkpoint(CheckpointRecord(f"c-{run_id}", run_id, 3, 1.0, "/there", 10))
    finish(store, run_id)


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
        with pytest.raises(StoreError, match="already exists"):
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

    def test_states_are_read_without_the_records(self, store: Store) -> None:
        """In the same order and pages; only those in a state, or of an entrypoint; a live run whose process ended is interrupted."""
        states = [State.FINISHED, State.FAILED, State.FINISHED, State.RUNNING, State.FINISHED, State.RUNNING]
        for number, state in enumerate(states):
            gone = {"pid": 2**22 + 1} if number == 3 else {}
            store.create_run(make_run(f"r{number}", created_at=1000.0 + number // 2, state=state, entrypoint=f"m:T{number % 2}", **gone))
        everything = {"r5": State.RUNNING, "r4": State.FINISHED, "r3": State.INTERRUPTED, "r2": State.FINISHED, "r1": State.FAILED}
        assert list(store.run_states().items()) == [*everything.items(), ("r0", State.FINISHED)]
        assert list(store.run_states(limit=5).items()) == list(everything.items())
        assert list(store.run_states(limit=None, before="r4")) == ["r3", "r2", "r1", "r0"]
        assert list(store.run_states(limit=2, before="r3", state=State.FINISHED)) == ["r2", "r0"]
        assert list(store.run_states(limit=1, state=State.FINISHED)) == ["r4"]
        assert list(store.run_states(state=State.INTERRUPTED)) == ["r3"]
        assert list(store.run_states(state=State.RUNNING, entrypoint="m:T1")) == ["r5"]
        assert list(store.run_states(entrypoint="m:T0")) == ["r4", "r2", "r0"]
        assert store.run_states(entrypoint="no", limit=0) == {}
        with pytest.raises(RunNotFoundError):
            store.run_states(before="no")

    def test_summaries_are_the_part_of_the_records_that_is_compared(self, store: Store) -> None:
        """With numbers that JSON lacks, of runs with and without a session; newest first, in pages, by entrypoint, by id."""
        odd = make_session(latest={"training": {"loss": math.nan, "é": -math.inf, "x": 1.0}, "validation": {}}, elapsed_s=math.inf)
        store.create_run(make_run("r0", created_at=0.0, best=BestRecord("loss", math.inf, 3, smaller_is_better=True), session=odd))
        store.create_run(make_run("r1", created_at=1.0, state=State.FINISHED, session=None, hyperparameters={}, seed=0))
        store.create_run(make_run("r2", created_at=2.0, state=State.FAILED, entrypoint="m:T", ended_at=5.0))
        found = store.summaries()
        assert str(found) == str([summary_of(store.run(run_id)) for run_id in ("r2", "r1", "r0")])  # as text: NaN differs from itself
        assert math.isnan(found[2].latest["training"]["loss"])
        assert (found[2].best, found[2].elapsed_s) == (BestRecord("loss", math.inf, 3, smaller_is_better=True), math.inf)
        assert (found[1].latest, found[1].elapsed_s, found[0].seconds) == ({}, None, 0.5)
        assert [run.id for run in store.summaries(limit=2)] == ["r2", "r1"]
        assert [run.id for run in store.summaries(before="r2", limit=1)] == ["r1"]
        assert [run.id for run in store.summaries(entrypoint="m:T")] == ["r2"]
        store.annotate_runs(["r1"], Annotation(starred=True))
        assert [run.id for run in store.summaries(updated_since=store.run("r2").updated_at)] == ["r1"]
        assert store.summaries(updated_since=time.time()) == []
        assert [run.id for run in store.summaries_of(["r0", "no", "r2"])] == ["r0", "r2"]
        assert store.summaries_of([]) == []

    def test_a_summary_says_that_the_process_of_its_run_has_ended(self, store: Store, ended_pid: int) -> None:
        """As its record does."""
        store.create_run(make_run(pid=ended_pid))
        assert [run.state for run in store.summaries()] == [State.INTERRUPTED]
        store.create_run(make_run("r2", pid=ended_pid))
        assert [run.state for run in store.summaries_of(["r2"])] == [State.INTERRUPTED]

    def test_what_the_user_adds_is_part_of_the_run(self, store: Store) -> None:
        """Any text; the trained part stays, an update of the process that trains it keeps it, and watchers see the change."""
        store.create_run(make_run("r1", updated_at=5.0))
        store.create_run(make_run("r2", updated_at=5.0))
        text = "'; DROP TABLE runs; -- <b>é\x1b[31m\u202e"
        before = store.run("r1")
        store.annotate_runs(["r1"], Annotation(f" {text} ", f"{text}\n2", [text, "b", text], starred=True))
        run = store.run("r1")
        assert (run.name, run.note, run.tags, run.starred, run.archived) == (text, f"{text}\n2", (text, "b"), True, False)
        assert replace(run, name="", note="", tags=(), starred=False) == before
        assert [one.id for one in store.runs_updated_since(6.0)] == ["r1"]
        summary = store.summaries_of(["r1"])[0]
        assert (summary.name, summary.note, summary.tags, summary.starred) == (text, f"{text}\n2", (text, "b"), True)
        finish(store, "r1")
        store.annotate_runs(["r1", "r2", "r2"], Annotation(add_tags=["c", "b"], remove_tags=[text, "no"], archived=True))
        assert [(one.tags, one.archived, one.name) for one in store.summaries_of(["r1", "r2"])] == [
            (("b", "c"), True, text),
            (("c", "b"), True, ""),
        ]
        assert list(store.run_states(include_archived=False)) == []
        assert store.runs(include_archived=False) == []
        assert len(store.runs()) == 2
        assert list(store.run_states()) == ["r2", "r1"]

    def test_runs_are_annotated_all_or_none(self, store: Store) -> None:
        """A run that is not there, or that would have too many tags, keeps the others as they are; the same again changes nothing."""
        store.create_run(make_run("r1"))
        store.create_run(make_run("full", tags=tuple(map(str, range(MOST_TAGS)))))
        for ids, error in ((["r1", "no"], RunNotFoundError), (["r1", "full"], ArgumentError)):
            with pytest.raises(error):
                store.annotate_runs(ids, Annotation(add_tags=["x"]))
            assert store.run("r1").tags == ()
        store.annotate_runs(["r1"], Annotation(starred=True))
        seen = store.run("r1")
        store.annotate_runs(["r1"], Annotation(starred=True, tags=[]))
        assert store.run("r1") == seen

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
            add_whole_run(store, run_id)
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

    def test_a_run_that_is_marked_as_deleted_is_hidden_until_that_is_undone(self, store: Store) -> None:
        """For every reader it is not there, and watchers see both changes; then it is as it was, with all its data."""
        for run_id in ("r1", "r2"):
            add_whole_run(store, run_id)
        before, token = store.run("r1"), store.change_token()
        store.mark_deleted(["r1"], 100.0)
        hidden_at = store.change_token()
        assert hidden_at != token
        assert [run.id for run in store.runs()] == ["r2"]
        assert list(store.run_states()) == ["r2"]
        assert [run.id for run in store.summaries()] == ["r2"]
        assert [run.id for run in store.summaries_of(["r1", "r2"])] == ["r2"]
        assert [run.id for run in store.runs_updated_since(0.0)] == ["r2"]
        for ask in (
            store.run,
            store.series_names,
            store.log,
            store.events,
            store.counts,
            store.checkpoints,
            lambda run_id: store.series(run_id, Group.TRAINING, "loss"),
            lambda run_id: store.series_since(run_id, 0),
            lambda run_id: store.runs(before=run_id),
            lambda run_id: store.annotate_runs([run_id], Annotation("x")),
            lambda run_id: store.mark_deleted([run_id], 200.0),
            lambda run_id: finish(store, run_id),
        ):
            with pytest.raises(RunNotFoundError):
                ask("r1")
        with pytest.raises(CheckpointError):
            store.checkpoint("c-r1")
        assert (store.marked_deleted(99.0), store.marked_deleted(100.0)) == ([], ["r1"])
        store.undelete(["r2", "r1"])
        assert store.change_token() != hidden_at
        assert store.run("r1") == before
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [1, 2, 3]
        assert (store.checkpoint("c-r1").run_id, store.log("r1")[1][0].text, store.marked_deleted(math.inf)) == ("r1", "r1", [])

    def test_runs_are_marked_and_come_back_all_or_none(self, store: Store) -> None:
        """One that is not there keeps the others as they are; a marked one can be deleted for good."""
        for run_id in ("r1", "r2"):
            store.create_run(make_run(run_id, state=State.FINISHED))
        with pytest.raises(RunNotFoundError):
            store.mark_deleted(["r1", "no"], 1.0)
        assert len(store.runs()) == 2
        store.mark_deleted(["r1", "r2"], 1.0)
        store.delete_run("r2")
        with pytest.raises(RunNotFoundError, match="'r2'"):
            store.undelete(["r1", "r2"])
        assert (store.runs(), store.marked_deleted(1.0)) == ([], ["r1"])

    @pytest.mark.parametrize(
        "ask",
        [
            lambda store: store.mark_deleted(["no"], 1.0),
            lambda store: store.undelete(["no"]),
            lambda store: store.run("no"),
            lambda store: store.runs(before="no"),
            lambda store: store.delete_run("no"),
            lambda store: finish(store, "no"),
            lambda store: store.append_series("no", Group.TRAINING, "loss", *points(1, 2)),
            lambda store: store.append_points("no", [SeriesPoints(Group.TRAINING, "loss", *points(1, 2))]),
            lambda store: store.append_event("no", {}),
            lambda store: store.append_events("no", [{}]),
            lambda store: store.append_log("no", [LogLine(1.0, "stdout", "")]),
            lambda store: store.add_checkpoint(CheckpointRecord("c", "no", 1, 1.0, "/there", 1)),
            lambda store: store.summaries(before="no"),
            lambda store: store.series_names("no"),
            lambda store: store.series("no", Group.TRAINING, "loss"),
            lambda store: store.series_since("no", 0),
            lambda store: store.log("no"),
            lambda store: store.events("no"),
            lambda store: store.counts("no"),
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
        """The first process that reads the run records it as interrupted; it ended at its last write, and watchers see the change."""
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
        """Any process that reads the run checks the owner, which need not be the process that reads."""
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
        wait_until(lambda: store.run("r1").state is State.INTERRUPTED)
        process.communicate()

    def test_our_own_live_runs_stay(self, store: Store) -> None:
        """The process that asks is alive."""
        store.create_run(make_run(updated_at=5.0))
        assert store.run("r1").state is State.RUNNING

    def test_another_hosts_run_is_given_up_after_five_minutes_of_silence(self, store: Store) -> None:
        """Processes of another host cannot be checked, even if a process here has the same pid."""
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
