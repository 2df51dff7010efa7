"""What every store promises about the log, events and checkpoints of a run (see ``detjupyter.store.base``)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import make_run, points

from detjupyter.errors import CheckpointError, StoreError
from detjupyter.protocol.records import CheckpointRecord, LogLine
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store
from detjupyter.store.memory import MemoryStore
from detjupyter.store.rescue import read_run, write_run


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

    def test_everything_is_counted(self, store: Store) -> None:
        """Points that later ones replaced count too: what is counted is what was written."""
        store.create_run(make_run())
        store.create_run(make_run("other"))
        assert store.counts("r1") == (0, 0, 0)
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 5))
        store.append_series("r1", Group.TRAINING, "loss", *points(3, 2))
        store.append_series("other", Group.TRAINING, "loss", *points(1, 9))
        store.append_events("r1", [{"kind": "a"}, {"kind": "b"}, {"kind": "c"}])
        store.append_log("r1", [LogLine(1.0, "stdout", "x")] * 4)
        assert store.counts("r1") == (7, 4, 3)

    def test_a_run_is_copied_to_another_store(self, store: Store) -> None:
        """With everything that belongs to it; a copy that is less takes the place of nothing, one that is more does."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 5))
        store.append_series("r1", Group.TRAINING, "loss", *points(3, 2))
        store.append_events("r1", [{"kind": "a"}, {"kind": "b"}])
        store.append_log("r1", [LogLine(1.0, "stdout", "x")])
        store.add_checkpoint(CheckpointRecord("c", "r1", 1, 1.0, "/there", 1))
        copy = read_run(store, "r1")
        other = MemoryStore()
        assert write_run(other, copy)
        assert read_run(other, "r1").counts() == copy.counts() == store.counts("r1")
        assert other.series("r1", Group.TRAINING, "loss")[0].tolist() == [1, 2, 3, 4]
        assert (other.run("r1"), other.events("r1"), other.checkpoints("r1")) == (copy.run, copy.events, copy.checkpoints)
        assert not write_run(store, copy)
        other.append_series("r1", Group.TRAINING, "loss", *points(6, 1))
        assert write_run(store, read_run(other, "r1"))
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [1, 2, 3, 4, 6]
        other.close()

    def test_a_store_whose_medium_is_in_its_place_stays_there(self, store: Store) -> None:
        """There is nothing to follow."""
        assert store.follow() is None

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
        with pytest.raises(StoreError, match="already exists"):
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
        """The files of checkpoints are stored next to the history."""
        assert store.home == tmp_path
