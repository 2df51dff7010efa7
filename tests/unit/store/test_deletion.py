"""Runs are deleted with the files of their checkpoints, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.runs import make_run

import detjupyter as dj
from detjupyter.errors import RunNotFoundError, SessionError
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import State
from detjupyter.store import Store, open_store


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


def there(store: Store) -> list[str]:
    """Return the runs that have files of checkpoints."""
    return sorted(path.name for path in (store.home / "checkpoints").iterdir())


class TestDeleting:
    """One run, and several."""

    def test_a_run_goes_with_its_files(self, store: Store) -> None:
        """The result says their size, and a second time it is not there."""
        run = dj.run("r1")
        assert repr(run.delete()) == "<Deleted 1 run, with checkpoints of 3.0 MB>"
        assert [one.id for one in dj.runs()] == ["r2", "r0"]
        assert there(store) == ["r0", "r2"]
        with pytest.raises(RunNotFoundError):
            run.delete()

    def test_a_list_goes_as_it_was_chosen(self, store: Store) -> None:
        """By any condition; an empty list deletes nothing."""
        deleted = dj.runs(None, where="batches < 2").delete()
        assert (deleted.runs, deleted.size_bytes) == (("r1", "r0"), 6_000_000)
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
        assert there(store) == ["r0", "r2"]

    @pytest.mark.parametrize("run_id", ["..", "a/../../x", "."])
    def test_an_id_that_is_a_path_deletes_no_directory(self, run_id: str, store: Store, tmp_path: Path) -> None:
        """A history of someone else can have such ids."""
        store.create_run(make_run(run_id, state=State.FINISHED, ended_at=1.0))
        dj.run(run_id).delete()
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
        assert (mine / "file").is_file()
