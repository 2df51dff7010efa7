"""Where the history lives, how it is opened and migrated, and what is said when that fails."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy

from detjupyter.errors import StoreError
from detjupyter.protocol.records import RunRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import Store, database, open_store, schema
from detjupyter.store.location import home


def make_run(run_id: str) -> RunRecord:
    """Return a run of this process that is not live."""
    return RunRecord(
        id=run_id,
        state=State.READY,
        entrypoint="model_def:Trial",
        definition="digits",
        definition_root="/there/digits",
        framework="pytorch",
        device="cpu",
        seed=0,
        hyperparameters={},
        config={},
        bundle_hash="",
        kernel_id=None,
        host=socket.gethostname(),
        pid=os.getpid(),
        created_at=1.0,
        updated_at=1.0,
        ended_at=None,
        batches_trained=0,
        best=None,
        session=None,
    )


def limit_pages(store: Store, pages: int) -> None:
    """Let the file of ``store`` have at most ``pages`` pages, as a full disk would, on the connection of the transaction under way."""
    shared = database.Database.shared(store.home / "runs.sqlite")
    with shared.transaction() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    shared.release()


@pytest.fixture
def mere_user() -> Iterator[Path]:
    """Give a directory of a user for whom permissions count: root, whom they do not stop, is somebody else for the time of the test."""
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


def read_version(path: Path) -> int:
    """Return the schema version that the file says it has."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def write_sql(path: Path, *statements: str) -> None:
    """Run ``statements`` on the file, behind the store's back."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def describe(path: Path) -> dict[str, object]:
    """Return what SQLite itself says of the file's tables: columns, foreign keys, indices, and whether numbers are never used twice."""
    connection = sqlite3.connect(path)
    tables = {}
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
        columns = [(c[1], c[2], bool(c[3] or c[5]), c[5]) for c in connection.execute(f"PRAGMA table_info({name})")]
        keys = [k[2:] for k in connection.execute(f"PRAGMA foreign_key_list({name})")]
        indices = {
            (i[1] if i[3] == "c" else i[3], bool(i[2]), *(c[2] for c in connection.execute(f"PRAGMA index_info({i[1]})").fetchall()))
            for i in connection.execute(f"PRAGMA index_list({name})").fetchall()
        }
        tables[name] = (columns, keys, indices, "AUTOINCREMENT" in sql)
    connection.close()
    return tables


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


class TestOpening:
    """One file, opened by whoever wants it."""

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
        """Also when the path is spelt differently; the last one to close closes them."""
        first = open_store(tmp_path / "runs.sqlite")
        second = open_store(str(tmp_path / "x" / ".." / "runs.sqlite"))
        assert len([path for path in database._open if path.parent == tmp_path]) == 1
        first.close()
        second.create_run(make_run("r"))
        assert second.run("r").id == "r"
        second.close()
        assert [path for path in database._open if path.parent == tmp_path] == []

    def test_one_store_hears_of_another_ones_writes(self, tmp_path: Path) -> None:
        """The change token looks beyond the store that is asked."""
        first, second = open_store(tmp_path / "runs.sqlite"), open_store(tmp_path / "runs.sqlite")
        token = first.change_token()
        second.create_run(make_run("r"))
        assert first.change_token() != token
        first.close()
        second.close()

    def test_everything_is_there_after_opening_again(self, tmp_path: Path) -> None:
        """That is what a history is for; files beside it are gone when nobody has it open."""
        store = open_store(tmp_path / "runs.sqlite")
        store.create_run(make_run("r"))
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
        old.create_run(make_run("r"))
        shutil.rmtree(path.parent)
        new = open_store(path)
        assert new.runs() == []
        old.close()
        new.create_run(make_run("r"))
        assert open_store(path).run("r").id == "r"
        new.close()
        database._open[path].release()

    def test_readers_do_not_wait_for_a_writer(self, tmp_path: Path) -> None:
        """The write-ahead log is on: a reader sees the state before the transaction under way."""
        store = open_store(tmp_path / "runs.sqlite")
        seen: list[int] = []
        with store.transaction():
            store.create_run(make_run("r"))
            reader = threading.Thread(target=lambda: seen.append(len(store.runs())))
            reader.start()
            reader.join(5)
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


class TestMigrations:
    """The schema from the first day on."""

    def test_the_steps_lead_to_the_tables(self, tmp_path: Path) -> None:
        """A file migrated from nothing has the columns, keys and indices that the queries are built from."""
        open_store(tmp_path / "migrated.sqlite").close()
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/direct.sqlite")
        schema.metadata.create_all(engine)
        engine.dispose()
        migrated, direct = describe(tmp_path / "migrated.sqlite"), describe(tmp_path / "direct.sqlite")
        assert migrated == direct
        assert set(migrated) == set(schema.metadata.tables)

    def test_an_older_file_takes_the_steps_it_lacks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its runs stay."""
        path = tmp_path / "runs.sqlite"
        store = open_store(path)
        store.create_run(make_run("r"))
        store.close()
        before = read_version(path)
        steps = ("CREATE TABLE marks (run_id TEXT)", "INSERT INTO marks SELECT id FROM runs"), ("ALTER TABLE marks ADD COLUMN text TEXT",)
        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, *steps))
        store = open_store(path)
        assert store.run("r").id == "r"
        store.close()
        assert read_version(path) == before + 2
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT * FROM marks").fetchall() == [("r", None)]
        connection.close()

    def test_a_step_that_fails_changes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All the steps are one transaction; the file can still be read by who wrote it."""
        path = tmp_path / "runs.sqlite"
        open_store(path).close()
        before = read_version(path)
        with monkeypatch.context() as patch:
            patch.setattr(
                schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE marks (run_id TEXT)",), ("CREATE TABLE runs (id TEXT)",))
            )
            with pytest.raises(StoreError, match="already exists"):
                open_store(path)
        assert read_version(path) == before
        store = open_store(path)
        store.create_run(make_run("r"))
        store.close()

    def test_a_newer_file_is_refused(self, tmp_path: Path) -> None:
        """An older detjupyter would write nonsense into it; the message says both versions and what to do."""
        path = tmp_path / "runs.sqlite"
        open_store(path).close()
        write_sql(path, "PRAGMA user_version = 99")
        with pytest.raises(StoreError, match=r"newer detjupyter .*99.*2") as caught:
            open_store(path)
        assert caught.value.path == str(path)
        assert "Upgrade" in str(caught.value)


class TestFailures:
    """What is wrong is said with the path and what to do."""

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
        assert not path.is_file() or path.read_bytes() == before

    def test_a_directory_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        """Here a file is in the way."""
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match="DETJUPYTER_HOME") as caught:
            open_store(tmp_path / "file" / "runs.sqlite")
        assert caught.value.path == str(tmp_path / "file" / "runs.sqlite")

    def test_a_damaged_page_is_told_when_it_is_read(self, tmp_path: Path) -> None:
        """A StoreError, never an exception of SQLAlchemy's."""
        path = tmp_path / "runs.sqlite"
        store = open_store(path)
        store.create_run(make_run("r"))
        store.close()
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StoreError, match="damaged") as caught:
            open_store(path).runs()
        assert caught.value.path == str(path)
        database._open[path].release()

    def test_a_locked_file_is_told_after_a_while(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another process hangs inside its transaction: our write fails, nothing of it stays, and we can go on."""
        monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
        path = tmp_path / "runs.sqlite"
        store = open_store(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="busy"), store.transaction():
            store.create_run(make_run("r"))
        other.execute("COMMIT")
        other.close()
        assert store.runs() == []
        store.create_run(make_run("r"))
        store.close()

    def test_a_full_disk_is_told_and_leaves_the_store_usable(self, tmp_path: Path) -> None:
        """SQLite's own limit of pages fails the same way; the points before stay."""
        store = open_store(tmp_path / "runs.sqlite")
        store.create_run(make_run("r"))
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
        store.create_run(make_run("r"))
        store.close()
        path.chmod(0o400)
        store = open_store(path)
        assert [run.id for run in store.runs()] == ["r"]
        with pytest.raises(StoreError, match="read-only") as caught:
            store.create_run(make_run("r2"))
        assert caught.value.path == str(path)
        store.close()
        mere_user.chmod(0o500)
        with pytest.raises(StoreError, match="cannot be made: Permission denied"):
            open_store(mere_user / "other.sqlite")
