"""The tables, and the migrations of older files.

``PRAGMA user_version`` of a file counts the migrations applied to it. A released migration is never edited: a change of the schema is a new
migration at the end of ``MIGRATIONS``, and the same change in the tables below (a test compares the two).
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, text

from detjupyter.errors import StoreError

metadata = MetaData()


def _run_id() -> Column[str]:
    return Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False)


runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),  # in the order of creation
    Column("id", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("entrypoint", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("definition_root", Text, nullable=False),
    Column("framework", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("seed", Text, nullable=False),  # seeds reach 2**64, SQLite's integers 2**63
    Column("hyperparameters", Text, nullable=False),  # this, config, best, session, recipe and versions are JSON
    Column("config", Text, nullable=False),
    Column("bundle_hash", Text, nullable=False),
    Column("kernel_id", Text),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("owner_started_at", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("batches_trained", Integer, nullable=False),
    Column("best", Text),
    Column("session", Text),
    Column("recipe", Text),
    Column("versions", Text, nullable=False, server_default="{}"),
    Column("owner_space", Text),
    Column("name", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("tags", Text, nullable=False, server_default="[]"),  # JSON
    Column("starred", Integer, nullable=False, server_default="0"),  # 0 or 1, as the next
    Column("archived", Integer, nullable=False, server_default="0"),
    Column("notebook", Text),
    Column("annotated_at", Float),
    Column("deleted_at", Float),
    Index("runs_by_creation", "created_at", "number"),
    Index("runs_by_update", "updated_at"),
    Index("runs_by_state", "state"),
    Index("runs_by_annotation", "annotated_at"),
    Index("runs_by_deletion", "deleted_at", sqlite_where=text("deleted_at IS NOT NULL")),
    sqlite_autoincrement=True,
)

# Points come in chunks: reading a million of them takes 0.06 s of CPU, against 0.6 s for a row each.
series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_id(),
    Column("metric_group", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("first_batch", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("batches", LargeBinary),  # little-endian int64; NULL when consecutive from first_batch
    Column("values", LargeBinary, nullable=False),  # little-endian float64
    Index("series_of_run", "run_id", "metric_group", "name", "id"),
    Index("series_by_id", "run_id", "id"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_id(),
    Column("at", Float, nullable=False),
    Column("event", Text, nullable=False),  # JSON
    Index("events_of_run", "run_id", "id"),
    sqlite_autoincrement=True,
)

log = Table(
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    _run_id(),
    Column("at", Float, nullable=False),
    Column("stream", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("log_of_run", "run_id", "id"),
    sqlite_autoincrement=True,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    _run_id(),
    Column("batches_trained", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("automatic", Integer, nullable=False, server_default="0"),  # 0 or 1
    Column("metric", Float),
    Index("checkpoints_of_run", "run_id", "number"),
    sqlite_autoincrement=True,
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # 1: the first schema
        """CREATE TABLE runs (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, entrypoint TEXT NOT NULL,
            definition TEXT NOT NULL, definition_root TEXT NOT NULL, framework TEXT NOT NULL, device TEXT NOT NULL, seed TEXT NOT NULL,
            hyperparameters TEXT NOT NULL, config TEXT NOT NULL, bundle_hash TEXT NOT NULL, kernel_id TEXT, host TEXT NOT NULL,
            pid INTEGER NOT NULL, owner_started_at FLOAT, created_at FLOAT NOT NULL, updated_at FLOAT NOT NULL, ended_at FLOAT,
            batches_trained INTEGER NOT NULL, best TEXT, session TEXT)""",
        "CREATE INDEX runs_by_creation ON runs (created_at, number)",
        "CREATE INDEX runs_by_update ON runs (updated_at)",
        "CREATE INDEX runs_by_state ON runs (state)",
        """CREATE TABLE series (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, metric_group TEXT NOT NULL,
            name TEXT NOT NULL, first_batch INTEGER NOT NULL, count INTEGER NOT NULL, batches BLOB, "values" BLOB NOT NULL)""",
        "CREATE INDEX series_of_run ON series (run_id, metric_group, name, id)",
        "CREATE INDEX series_by_id ON series (run_id, id)",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, at FLOAT NOT NULL,
            event TEXT NOT NULL)""",
        "CREATE INDEX events_of_run ON events (run_id, id)",
        """CREATE TABLE log (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, at FLOAT NOT NULL,
            stream TEXT NOT NULL, text TEXT NOT NULL)""",
        "CREATE INDEX log_of_run ON log (run_id, id)",
        """CREATE TABLE checkpoints (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            batches_trained INTEGER NOT NULL, created_at FLOAT NOT NULL, path TEXT NOT NULL, size_bytes INTEGER NOT NULL)""",
        "CREATE INDEX checkpoints_of_run ON checkpoints (run_id, number)",
    ),
    (  # 2: which checkpoints better ones may replace; existing checkpoints must not be replaced
        "ALTER TABLE checkpoints ADD COLUMN automatic INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE checkpoints ADD COLUMN metric FLOAT",
    ),
    (  # 3: the load recipe of a run
        "ALTER TABLE runs ADD COLUMN recipe TEXT",
        "ALTER TABLE runs ADD COLUMN versions TEXT NOT NULL DEFAULT '{}'",
    ),
    ("ALTER TABLE runs ADD COLUMN owner_space TEXT",),  # 4: in which container the pid of the owner is valid
    (  # 5: what the user adds to a run
        "ALTER TABLE runs ADD COLUMN name TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE runs ADD COLUMN starred INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN archived INTEGER NOT NULL DEFAULT 0",
    ),
    (  # 6: the notebook of a run, and when it was annotated or deleted
        "ALTER TABLE runs ADD COLUMN notebook TEXT",
        "ALTER TABLE runs ADD COLUMN annotated_at FLOAT",
        "ALTER TABLE runs ADD COLUMN deleted_at FLOAT",
        "CREATE INDEX runs_by_annotation ON runs (annotated_at)",
        "CREATE INDEX runs_by_deletion ON runs (deleted_at) WHERE deleted_at IS NOT NULL",
    ),
)


def is_current(connection: Connection, path: Path) -> bool:
    """Return whether all migrations were applied to the file.

    Raises:
        StoreError: The file has a newer schema, or belongs to another program.
    """
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"The history was written by a newer detjupyter (its schema is {version}, this one knows {len(MIGRATIONS)}).",
            path=str(path),
            hint="Upgrade detjupyter, or set DETJUPYTER_HOME to another directory to start a separate history.",
        )
    if version == 0 and connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
        raise StoreError(
            "This SQLite file is not a detjupyter history.", path=str(path), hint="Name another file, or one that does not exist yet."
        )
    return version == len(MIGRATIONS)


def migrate(connection: Connection, path: Path) -> None:
    """Apply the missing migrations inside the write transaction of ``connection``, so that concurrent processes apply them only once.

    Raises:
        StoreError: As for :func:`is_current`.
    """
    if is_current(connection, path):
        return
    for step in MIGRATIONS[_version(connection) :]:
        for statement in step:
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")  # a pragma takes no parameters; this integer is safe


def _version(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
