"""The location of the history, how it is opened, and the messages when that fails."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from support.runs import ready_run
from support.sqlite import write_sql
from support.waiting import LIMIT_S

from detjupyter.errors import StoreBusyError, StoreError, UnreadableRunError
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, database, open_store
from detjupyter.store.base import SeriesPoints
from detjupyter.store.code import CodeSource, CodeStore
from detjupyter.store.location import home


def limit_pages(store: Store, pages: int) -> None:
    """Limit the file of ``store`` to ``pages`` pages, like a full disk, on the connection of the current transaction."""
    shared = database.Database.shared(store.home / "runs.sqlite")
    with shared.transaction() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    shared.release()


@pytest.fixture
def mere_user() -> Iterator[Path]:
    """Return a directory of a user whose permissions are checked: root, which ignores them, becomes another user during the test."""
    if os.name != "posix":
        pytest.skip("permissions are another matter here")
    directory = Path(tempfile.mkdtemp())
    user = os.geteuid()
    if user == 0:
        os.chown(directory, 65534, -1)
        os.seteuid(65534)
    yield directory
    os.seteuid(user)
    directory.chmod(0o700)
    shutil.rmtree(directory)


class TestLocation:
    """Where the history lives."""

    def test_the_variable_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """DETJUPYTER_HOME is the directory itself."""
        monkeypatch.setenv("DETJUPYTER_HOME", str(tmp_path / "mine"))
        assert home() == tmp_path / "mine"
        store = open_store()
        assert store.home == tmp_path / "mine"
        assert (tmp_path / "mine" / "runs.sqlite").exists()
        store.close()

    def test_a_tilde_and_a_relative_path_are_made_absolute(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """So that a later chdir changes nothing."""
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DETJUPYTER_HOME", "~/history")
        assert home() == tmp_path / "history"
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DETJUPYTER_HOME", "here")
        assert home() == tmp_path / "here"

    def test_without_it_the_platform_decides(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """An empty variable counts as none."""
        monkeypatch.setenv("DETJUPYTER_HOME", "")
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        assert home().name == "detjupyter"
        assert home().is_absolute()

    def test_others_cannot_read_it(self, tmp_path: Path) -> None:
        """Logs and hyperparameters are the user's own."""
        path = tmp_path / "a" / "b" / "runs.sqlite"
        open_store(path).close()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.skipif(os.name != "posix", reason="permissions are another matter here")
    def test_others_cannot_read_it_when_the_code_is_written_first(self, tmp_path: Path) -> None:
        """The code of a run is kept while the history is locked, or before it is opened; every file and directory is private."""
        place = tmp_path / "a" / "history"
        CodeStore(place).keep("b", [CodeSource("model_def.py", False, 5, b"x = 1")])
        open_store(place / "runs.sqlite").close()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", *(tmp_path / "a").rglob("*"))}
        wanted = {path.name: 0o700 if path.is_dir() else 0o600 for path in (tmp_path / "a", *(tmp_path / "a").rglob("*"))}
        assert modes == wanted

    @pytest.mark.skipif(os.name != "posix", reason="permissions are another matter here")
    def test_a_directory_that_exists_keeps_its_permissions(self, tmp_path: Path) -> None:
        """It may be one that its owner shares; what is created in it is private."""
        place = tmp_path / "shared"
        place.mkdir()
        place.chmod(0o755)
        CodeStore(place).keep("b", [CodeSource("model_def.py", False, 5, b"x = 1")])
        assert stat.S_IMODE(place.stat().st_mode) == 0o755
        assert stat.S_IMODE((place / "code").stat().st_mode) == 0o700


class TestOpening:
    """One file, opened by several stores."""

    def test_importing_the_room_is_cheap(self) -> None:
        """SQLAlchemy, psutil and tsdownsample load when they are first needed, the last two not even by opening."""
        code = (
            "import sys, json, detjupyter.store, detjupyter.store.series, detjupyter.store.memory\n"
            "heavy = {'sqlalchemy', 'psutil', 'tsdownsample', 'sqlite3', 'torch', 'IPython'}\n"
            "print(json.dumps(sorted(heavy & set(sys.modules))))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == []

    def test_stores_on_one_file_share_its_connections(self, tmp_path: Path) -> None:
        """Also if the path is spelled differently; the last one to close closes them."""
        first = open_store(tmp_path / "runs.sqlite")
        second = open_store(str(tmp_path / "x" / ".." / "runs.sqlite"))
        assert len([path for path in database._open if path.parent == tmp_path]) == 1
        first.close()
        second.create_run(ready_run("r"))
        assert second.run("r").id == "r"
        second.close()
        assert [path for path in database._open if path.parent == tmp_path] == []

    def test_one_store_hears_of_another_ones_writes(self, tmp_path: Path) -> None:
        """The change token looks beyond the store that is asked."""
        first, second = open_store(tmp_path / "runs.sqlite"), open_store(tmp_path / "runs.sqlite")
        token = first.change_token()
        second.create_run(ready_run("r"))
        assert first.change_token() != token
        first.close()
        second.close()

    def test_everything_is_there_after_opening_again(self, tmp_path: Path) -> None:
        """All data is still there; the companion files are deleted when the last process closes the history."""
        store = open_store(tmp_path / "runs.sqlite")
        store.create_run(ready_run("r"))
        store.append_series("r", Group.TRAINING, "loss", np.arange(3), np.arange(3.0))
        store.close()
        assert [path.name for path in tmp_path.iterdir()] == ["runs.sqlite"]
        store = open_store(tmp_path / "runs.sqlite")
        assert len(store.series("r", Group.TRAINING, "loss")[0]) == 3
        store.close()

    def test_a_history_that_was_deleted_is_begun_anew(self, tmp_path: Path) -> None:
        """Opening again makes a new file, also while the deleted one is still open here."""
        path = tmp_path / "home" / "runs.sqlite"
        old = open_store(path)
        old.create_run(ready_run("r"))
        shutil.rmtree(path.parent)
        new = open_store(path)
        assert new.runs() == []
        old.close()
        new.create_run(ready_run("r"))
        assert open_store(path).run("r").id == "r"
        new.close()
        database._open[path].release()

    def test_the_main_file_is_never_empty_for_long(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every so often the write-ahead log is copied into it: who copies it alone has nearly everything."""
        path = tmp_path / "runs.sqlite"
        monkeypatch.setattr(database, "LOG_COPY_INTERVAL_S", 0.0)
        store = open_store(path)
        store.create_run(ready_run("r"))
        shutil.copy(path, tmp_path / "copy.sqlite")
        copy = open_store(tmp_path / "copy.sqlite")
        assert [run.id for run in copy.runs()] == ["r"]
        copy.close()
        store.close()

    def test_many_curves_are_one_statement(self, tmp_path: Path) -> None:
        """A thousand metrics a flush must not be a thousand statements."""
        store = open_store(tmp_path / "runs.sqlite")
        store.create_run(ready_run("r"))
        statements: list[tuple[str, bool]] = []
        shared = database.Database.shared(tmp_path / "runs.sqlite")
        listen = sqlalchemy.event.listen
        listen(shared._engine, "before_cursor_execute", lambda *given: statements.append((given[2], given[5])))
        batches = np.arange(1, 6)
        store.append_points("r", [SeriesPoints(Group.TRAINING, f"m{number}", batches, np.zeros(5)) for number in range(1000)])
        inserts = [is_many for statement, is_many in statements if statement.startswith("INSERT")]
        assert inserts == [True]
        shared.release()
        store.close()

    def test_readers_do_not_wait_for_a_writer(self, tmp_path: Path) -> None:
        """The write-ahead log is on: a reader sees the state before the current transaction."""
        store = open_store(tmp_path / "runs.sqlite")
        seen: list[int] = []
        with store.transaction():
            store.create_run(ready_run("r"))
            reader = threading.Thread(target=lambda: seen.append(len(store.runs())))
            reader.start()
            reader.join(LIMIT_S)
            assert seen == [0]
        store.close()

    def test_a_file_system_without_shared_memory_gets_the_older_journal(self, tmp_path: Path) -> None:
        """There the write-ahead log cannot be had (network drives); every commit is then forced to the disk."""
        engine = sqlalchemy.create_engine(f"sqlite:///file:{tmp_path}/runs.sqlite?vfs=unix-dotfile&uri=true")
        for _ in range(2):
            with engine.connect() as connection:
                database._choose_journal(connection)
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "delete"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        engine.dispose()


class TestFailures:
    """Errors name the path and the next step."""

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda path: path.write_bytes(b"this is not a database, but long enough to be one" * 100), "damaged"),
            (lambda path: path.mkdir(), "cannot be opened"),
            (lambda path: write_sql(path, "CREATE TABLE other (x)"), "not a detjupyter history"),
        ],
    )
    def test_a_file_that_is_no_history_is_refused(self, tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
        """And left as it is."""
        path = tmp_path / "runs.sqlite"
        spoil(path)
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(StoreError, match=message) as caught:
            open_store(path)
        assert caught.value.path == str(path)
        assert caught.value.hint
        if message == "damaged":
            assert "every kernel" in caught.value.hint
            assert "runs.sqlite, runs.sqlite-wal and runs.sqlite-shm" in caught.value.hint
        assert not path.is_file() or path.read_bytes() == before

    def test_a_directory_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        """Here a file is in the way."""
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="DETJUPYTER_HOME") as caught:
            open_store(tmp_path / "file" / "runs.sqlite")
        assert caught.value.path == str(tmp_path / "file" / "runs.sqlite")

    def test_a_damaged_page_is_reported_when_it_is_read(self, tmp_path: Path) -> None:
        """A StoreError, never an exception of SQLAlchemy's."""
        path = tmp_path / "runs.sqlite"
        store = open_store(path)
        store.create_run(ready_run("r"))
        store.close()
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StoreError, match="damaged") as caught:
            open_store(path).runs()
        assert caught.value.path == str(path)
        database._open[path].release()

    @pytest.mark.parametrize(
        ("column", "content"),
        [
            ("hyperparameters", "{"),
            ("session", "[]"),
            ("session", '{"latest": "text"}'),
            ("best", "5"),
            ("state", "flying"),
            ("seed", "many"),
        ],
    )
    @pytest.mark.parametrize("state", [State.FINISHED, State.RUNNING])
    def test_an_unreadable_run_hides_no_other(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, content: str, state: State
    ) -> None:
        """Another version has written it. The lists have the other runs, and one warning names this one."""
        path = tmp_path / "runs.sqlite"
        store = open_store(path)
        for name in ("before", "odd", "after"):
            store.create_run(replace(ready_run(name), state=state))
        write_sql(path, f"UPDATE runs SET {column} = '{content}' WHERE id = 'odd'")
        for _ in range(2):
            assert {run.id for run in store.runs()} == {"before", "after"}
            assert {run.id for run in store.runs_updated_since(0.0)} == {"before", "after"}
            assert {"before", "after"} <= set(store.run_states())
        (record,) = caplog.records
        assert "The run 'odd' in the history cannot be read" in record.getMessage()
        with pytest.raises(UnreadableRunError, match="'odd'"):
            store.run("odd")
        store.close()

    def test_a_locked_file_is_reported_after_a_while(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another process hangs inside its transaction: our write fails completely, and the store is still usable."""
        monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
        path = tmp_path / "runs.sqlite"
        store = open_store(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="busy"), store.transaction():
            store.create_run(ready_run("r"))
        other.execute("COMMIT")
        other.close()
        assert store.runs() == []
        store.create_run(ready_run("r"))
        store.close()

    def test_a_full_disk_is_reported_and_leaves_the_store_usable(self, tmp_path: Path) -> None:
        """SQLite's own limit of pages fails the same way; the points before stay."""
        store = open_store(tmp_path / "runs.sqlite")
        store.create_run(ready_run("r"))
        store.append_series("r", Group.TRAINING, "loss", np.arange(2), np.zeros(2))

        def fill() -> None:
            with store.transaction():
                limit_pages(store, 1)
                store.append_series("r", Group.TRAINING, "loss", np.arange(2, 100_002), np.zeros(100_000))

        with pytest.raises(StoreError, match="full"):
            fill()
        with store.transaction():
            limit_pages(store, 1_000_000)
            store.append_series("r", Group.TRAINING, "loss", np.arange(2, 4), np.zeros(2))
        assert store.series("r", Group.TRAINING, "loss")[0].tolist() == [0, 1, 2, 3]
        store.close()

    def test_a_read_only_history_can_be_read(self, mere_user: Path) -> None:
        """Writing says that it is read-only, making another one in a read-only directory that this cannot be."""
        path = mere_user / "runs.sqlite"
        store = open_store(path)
        store.create_run(ready_run("r"))
        store.close()
        path.chmod(0o400)
        store = open_store(path)
        assert [run.id for run in store.runs()] == ["r"]
        with pytest.raises(StoreError, match="read-only") as caught:
            store.create_run(ready_run("r2"))
        assert caught.value.path == str(path)
        store.close()
        mere_user.chmod(0o500)
        with pytest.raises(StoreError, match="cannot be created: Permission denied"):
            open_store(mere_user / "other.sqlite")
