"""A history's file that is deleted, moved or replaced while it is open."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.runs import ready_run

from detjupyter.errors import StoreError
from detjupyter.protocol.states import Group
from detjupyter.store import Store, open_store


class TestAFileThatMoves:
    """Deleted, moved or replaced while it is open."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Return where the history is."""
        return tmp_path / "home" / "runs.sqlite"

    @pytest.fixture
    def store(self, path: Path) -> Iterator[Store]:
        """Return a history with a run in it."""
        store = open_store(path)
        store.create_run(ready_run("r"))
        store.append_series("r", Group.TRAINING, "loss", np.arange(3), np.arange(3.0))
        yield store
        store.close()

    @pytest.mark.parametrize(
        "displace",
        [
            lambda path: shutil.rmtree(path.parent),
            lambda path: [one.unlink() for one in path.parent.iterdir()],
            lambda path: path.unlink(),
            lambda path: path.rename(path.with_name("moved.sqlite")),
            lambda path: path.parent.rename(path.parent.with_name("moved")),
            lambda path: sqlite3.connect(path.with_name("other")).close() or path.with_name("other").replace(path),
        ],
    )
    def test_what_was_left_can_be_read_and_the_path_is_used_again(
        self, store: Store, path: Path, displace: Callable[[Path], object]
    ) -> None:
        """Everything of the old file is there to be copied, and other processes find a good new one."""
        displace(path)
        left = store.follow()
        assert left is not None
        assert len(left.series("r", Group.TRAINING, "loss")[0]) == 3
        assert store.runs() == []
        store.create_run(ready_run("new"))
        code = "import sys; from detjupyter.store import open_store; print([run.id for run in open_store(sys.argv[1]).runs()])"
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert done.stdout == "['new']\n"
        left.close()
        assert [run.id for run in store.runs()] == ["new"]
        assert store.follow() is None

    def test_a_file_that_was_moved_alone_is_whole(self, store: Store, path: Path) -> None:
        """Data that was only in the write-ahead log is copied into the file before the store leaves it."""
        moved = path.with_name("moved.sqlite")
        path.rename(moved)
        left = store.follow()
        assert left is not None
        left.close()
        other = open_store(moved)
        assert len(other.series("r", Group.TRAINING, "loss")[0]) == 3
        other.close()

    def test_a_new_process_is_not_fooled_by_what_a_moved_file_left(self, store: Store, path: Path) -> None:
        """A log without its file is removed; the process that has the moved file open still reads its own."""
        path.rename(path.with_name("moved.sqlite"))
        code = (
            "import sys; from detjupyter.store import open_store; store = open_store(sys.argv[1])\n"
            "print([run.id for run in store.runs()]); store.close()"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"
        left = store.follow()
        assert left is not None
        assert [run.id for run in left.runs()] == ["r"]
        left.close()

    def test_watchers_follow(self, store: Store, path: Path) -> None:
        """A server that reads a history notices that it was replaced, and reads the new one."""
        token = store.change_token()
        shutil.rmtree(path.parent)
        assert store.change_token() != token
        assert store.runs() == []

    def test_a_file_that_cannot_be_created_leaves_the_store_where_it_was(self, store: Store, path: Path) -> None:
        """A later attempt follows."""
        shutil.rmtree(path.parent)
        path.parent.write_text("in the way")
        with pytest.raises(StoreError, match="cannot be created"):
            store.follow()
        path.parent.unlink()
        left = store.follow()
        assert left is not None
        assert [run.id for run in left.runs()] == ["r"]
        left.close()
