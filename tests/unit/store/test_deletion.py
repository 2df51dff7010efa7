"""Runs are deleted with the files of their checkpoints, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.runs import make_run
from support.waiting import wait_until

import detjupyter as dj
from detjupyter.errors import RunNotFoundError, SessionError, StoreError
from detjupyter.protocol.limits import UNDO_S
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import State
from detjupyter.store import Store, open_store
from detjupyter.store.deletion import delete_runs, purge


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Store]:
    """Return a history of three runs that have ended, each with a checkpoint of 3 MB, as the history lists it."""
    store = open_store(tmp_path / "home" / "runs.sqlite")
    for number in range(3):
        add(store, f"r{number}", batches_trained=number, state=State.FINISHED, ended_at=1.0)
    monkeypatch.setattr("detjupyter.store.history.open_store", lambda: store)
    yield store
    store.close()


def add(store: Store, run_id: str, **changes: object) -> Path:
    """Add a run with a checkpoint, and return the checkpoint's directory."""
    store.create_run(make_run(run_id, **changes))
    directory = store.home / "checkpoints" / run_id / f"{run_id}-1"
    directory.mkdir(parents=True)
    (directory / "weights").write_bytes(b"x")
    store.add_checkpoint(CheckpointRecord(f"{run_id}-1", run_id, 1, 1.0, str(directory), 3_000_000))
    return directory


def purge_later(store: Store) -> None:
    """Do what happens ten seconds after a deletion."""
    purge(store, now=time.time() + UNDO_S)


def there(store: Store) -> list[str]:
    """Return the runs that have files of checkpoints."""
    return sorted(path.name for path in (store.home / "checkpoints").iterdir())


class TestDeleting:
    """One run, and several."""

    def test_a_run_goes_with_its_files(self, store: Store) -> None:
        """Ten seconds later. The result says their size, and a second time it is not there."""
        run = dj.run("r1")
        assert repr(run.delete()) == "<Deleted 1 run, with checkpoints of 3.0 MB; undo() brings it back for 10 seconds>"
        assert [one.id for one in dj.runs()] == ["r2", "r0"]
        with pytest.raises(RunNotFoundError):
            run.delete()
        assert there(store) == ["r0", "r1", "r2"]
        purge_later(store)
        assert there(store) == ["r0", "r2"]
        with pytest.raises(StoreError, match="The run r1 cannot be brought back"):
            run.undelete()

    def test_a_list_goes_as_it_was_chosen(self, store: Store) -> None:
        """By any condition; an empty list deletes nothing."""
        deleted = dj.runs(None, where="batches < 2").delete()
        assert (deleted.runs, deleted.size_bytes) == (("r1", "r0"), 6_000_000)
        assert "2 runs, with checkpoints of 6.0 MB; undo() brings them back" in repr(deleted)
        purge_later(store)
        assert there(store) == ["r2"]
        assert dj.runs(where="batches < 0").delete().runs == ()

    @pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
    def test_a_live_run_keeps_the_whole_list(self, state: State, store: Store) -> None:
        """It is named, and nothing was deleted before it."""
        add(store, "live", state=state)
        with pytest.raises(SessionError, match=f"The run live is {state.value}"):
            dj.runs().delete()
        assert len(dj.runs()) == 4
        assert len(there(store)) == 4

    def test_a_run_of_the_list_that_is_gone_keeps_the_others(self, store: Store) -> None:
        """The list is older than the history."""
        runs = dj.runs()
        dj.run("r1").delete()
        with pytest.raises(RunNotFoundError, match="r1"):
            runs.delete()
        purge_later(store)
        assert there(store) == ["r0", "r2"]

    @pytest.mark.parametrize("run_id", ["..", "a/../../x", "."])
    def test_an_id_that_is_a_path_deletes_no_directory(self, run_id: str, store: Store, tmp_path: Path) -> None:
        """A history of someone else can have such ids."""
        store.create_run(make_run(run_id, state=State.FINISHED, ended_at=1.0))
        dj.run(run_id).delete()
        purge_later(store)
        assert there(store) == ["r0", "r1", "r2"]
        assert (tmp_path / "home" / "runs.sqlite").is_file()

    def test_a_link_is_not_followed(self, store: Store, tmp_path: Path) -> None:
        """What it names is not the run's."""
        store.create_run(make_run("linked", state=State.FINISHED, ended_at=1.0))
        mine = tmp_path / "mine"
        mine.mkdir()
        (mine / "file").write_text("x")
        (store.home / "checkpoints" / "linked").symlink_to(mine)
        dj.run("linked").delete()
        purge_later(store)
        assert (mine / "file").is_file()


class TestUndo:
    """For ten seconds."""

    def test_the_result_brings_the_runs_back(self, store: Store) -> None:
        """With their files; so does a run itself, also if it was not deleted."""
        deleted = dj.runs(where="batches < 2").delete()
        assert [run.id for run in dj.runs()] == ["r2"]
        deleted.undo()
        deleted.undo()
        assert [run.id for run in dj.runs()] == ["r2", "r1", "r0"]
        run = dj.run("r1")
        run.delete()
        run.undelete()
        runs = dj.runs()
        runs.delete()
        runs.undelete()
        purge_later(store)
        assert [run.id for run in dj.runs()] == there(store)[::-1] == ["r2", "r1", "r0"]

    def test_runs_that_were_deleted_at_once_do_not_come_back(self, store: Store) -> None:
        """As the server deletes them, after the browser has waited."""
        deleted = delete_runs(store, ["r0"], can_be_undone=False)
        assert there(store) == ["r1", "r2"]
        with pytest.raises(StoreError, match="10 seconds"):
            deleted.undo()

    def test_the_files_are_removed_by_a_thread(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """One for all deletions of the process."""
        monkeypatch.setattr("detjupyter.store.deletion.UNDO_S", 0.05)
        dj.run("r0").delete()
        dj.run("r1").delete()
        wait_until(lambda: there(store) == ["r2"])
        assert store.marked_deleted(time.time()) == []

    def test_a_process_that_ends_before_leaves_the_deletion_to_the_next_one(self, store: Store) -> None:
        """Until the ten seconds are over the run can still be brought back."""
        path = store.home / "runs.sqlite"
        code = (
            "import os, sys; from detjupyter.store import open_store; from detjupyter.store.deletion import delete_runs;"
            "delete_runs(open_store(sys.argv[1]), ['r0', 'r1']); os._exit(9)"
        )
        assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
        open_store(path).close()
        assert ([run.id for run in dj.runs()], there(store)) == (["r2"], ["r0", "r1", "r2"])
        store.undelete(["r1"])
        store.undelete(["r0"])
        store.mark_deleted(["r0"], time.time() - UNDO_S)
        open_store(path).close()
        assert [run.id for run in dj.runs()] == there(store)[::-1] == ["r2", "r1"]
