"""The schema of a history, from the first version on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy
from support.runs import ready_run
from support.sqlite import write_sql

from detjupyter.errors import StoreError
from detjupyter.protocol.states import Group
from detjupyter.store import open_store, schema
from detjupyter.store.annotation import Annotation


def read_version(path: Path) -> int:
    """Return the schema version that the file says it has."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
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


@pytest.fixture
def old_history(tmp_path: Path) -> Path:
    """Return a history that detjupyter wrote when its schema was 4."""
    path = tmp_path / "runs.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript((Path(__file__).parents[2] / "support" / "data" / "history_4.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


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
        store.create_run(ready_run("r"))
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

    def test_a_history_of_schema_4_gets_what_the_user_adds(self, old_history: Path) -> None:
        """Its runs, curves, logs, events and checkpoints stay as they were, and can be annotated."""
        store = open_store(old_history)
        assert [run.id for run in store.summaries()] == ["old2", "old1"]
        run = store.run("old1")
        assert (run.name, run.note, run.tags, run.starred, run.archived) == ("", "", (), False, False)
        assert (run.batches_trained, run.hyperparameters["lr"], run.seed) == (7, 0.1, 2**64 - 1)
        assert store.series("old1", Group.TRAINING, "loss")[1].tolist() == [0.5, 1.0, 1.5]
        assert [line.text for line in store.log("old1")[1]] == ["hello ü\n"]
        assert [checkpoint.id for checkpoint in store.checkpoints("old1")] == ["c1"]
        store.annotate_runs(["old1"], Annotation("baseline"))
        store.close()
        assert read_version(old_history) == len(schema.MIGRATIONS)
        store = open_store(old_history)
        assert store.run("old1").name == "baseline"
        store.close()

    def test_processes_that_open_an_old_history_at_once_take_turns(self, old_history: Path) -> None:
        """The first one migrates it while the others wait, also for a writer that was there before; no write is lost."""
        code = (
            "import sys; from pathlib import Path; from detjupyter.store import open_store;"
            "from detjupyter.store.annotation import Annotation;"
            "store = open_store(Path(sys.argv[1]));"
            "store.annotate_runs(['old1'], Annotation(add_tags=[sys.argv[2]])); store.close()"
        )
        writer = sqlite3.connect(old_history, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        started = [subprocess.Popen([sys.executable, "-c", code, old_history, str(number)]) for number in range(3)]
        time.sleep(1.0)
        assert [process.poll() for process in started] == [None] * 3
        writer.execute("UPDATE runs SET batches_trained = 8 WHERE id = 'old1'")
        writer.execute("COMMIT")
        writer.close()
        assert [process.wait(30) for process in started] == [0] * 3
        store = open_store(old_history)
        assert (sorted(store.run("old1").tags), store.run("old1").batches_trained) == (["0", "1", "2"], 8)
        store.close()

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
        store.create_run(ready_run("r"))
        store.close()

    def test_a_newer_file_is_refused(self, tmp_path: Path) -> None:
        """An older detjupyter would write nonsense into it; the message says both versions and what to do."""
        path = tmp_path / "runs.sqlite"
        open_store(path).close()
        write_sql(path, "PRAGMA user_version = 99")
        with pytest.raises(StoreError, match=rf"newer detjupyter .*99.* knows {len(schema.MIGRATIONS)}\)") as caught:
            open_store(path)
        assert caught.value.path == str(path)
        assert "Upgrade" in str(caught.value)
