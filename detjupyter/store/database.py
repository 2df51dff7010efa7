"""A SQLite file opened by this process: connections, transactions, readable errors.

All stores of the process on the same file share one :class:`Database`, from any thread. A forked child must not use a connection of its
parent, and must not even close one (that would release locks and rewrite shared memory of the parent), so it drops them and opens new ones.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from detjupyter.errors import StoreBusyError, StoreError
from detjupyter.store import file_identity, schema
from detjupyter.store.file_identity import Identity

BUSY_TIMEOUT_S = 10.0
LOG_COPY_INTERVAL_S = 30.0
"""How often the write-ahead log is copied into the main file; SQLite itself does so every 4 MB."""

_lock = threading.Lock()
_open: dict[Path, Database] = {}
_all: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []  # engines and connections of the parent, kept alive in a forked child so that they are never closed

_watchers = itertools.count(1)
_MOVE_AWAY = "Close every kernel, then move runs.sqlite, runs.sqlite-wal and runs.sqlite-shm away together; a new history is then created"

# A message and a hint for each of SQLite's messages, by a part of its text.
_MEANINGS = (
    ("disk is full", "The disk with the history is full.", "Free some space."),
    ("readonly", "The history cannot be written: the file or its directory is read-only.", "Make it writable, or set DETJUPYTER_HOME."),
    ("not a database", "The history is damaged: this is not a SQLite file.", f"{_MOVE_AWAY}."),
    ("malformed", "The history is damaged.", f"{_MOVE_AWAY} (`sqlite3 FILE .recover` may save the old one)."),
    ("can't encode", "The history holds Unicode text only.", "Check the text that you gave: half of a surrogate pair is not Unicode."),
    ("unable to open", "The history cannot be opened.", "See that the directory exists and is writable, or set DETJUPYTER_HOME."),
)


class Database:
    """The file ``path``, migrated to the current schema.

    Thread: any.

    Raises:
        StoreError: The file or its directory cannot be created or opened, or the file is not a history, or has a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self._opened = 0
        self._engine: Engine
        self._local: threading.local
        self._in_use: set[Connection]
        self._watch_lock: threading.Lock
        self._watcher: sqlite3.Connection | None
        self._companions: dict[Path, Identity] = {}
        self._next_log_copy = 0.0
        self._start()
        self._identity = file_identity.create(path)
        try:
            self._prepare()
            self.is_displaced()  # records the companions of the file
        except BaseException:
            self._engine.dispose()
            raise
        _all.add(self)

    @classmethod
    def shared(cls, path: Path) -> Database:
        """Return the shared database for ``path``, which is opened if needed; call :meth:`release` when done."""
        resolved = Path(os.path.realpath(path))
        with _lock:
            database = _open.get(resolved)
            if database is None or database.is_displaced():  # writes to a deleted file would be lost
                if database is not None:
                    database.remove_stale_companions()
                database = _open[resolved] = cls(resolved)
            database.users += 1
            return database

    def release(self) -> None:
        """Release one reference; releasing the last one closes the connections."""
        with _lock:
            self.users -= 1
            if self.users:
                return
            if _open.get(self.path) is self:
                del _open[self.path]
        with self._watch_lock:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        self._engine.dispose()

    def is_displaced(self) -> bool:
        """Return whether the file was deleted, moved or replaced since it was opened."""
        found = file_identity.identify(self.path)
        if found is file_identity.UNKNOWN or self._identity is file_identity.UNKNOWN:
            return False
        if found != self._identity:
            return True
        for companion in file_identity.companions(self.path):
            identity = file_identity.identify(companion)
            if identity is not None:
                self._companions[companion] = identity
        return False

    def remove_stale_companions(self) -> None:
        """Remove the -wal and -shm files that the displaced file left at its path: a new file at the path must not read them.

        Open connections can still use them.
        """
        for companion, identity in self._companions.items():
            if identity is not file_identity.UNKNOWN and file_identity.identify(companion) == identity:
                with suppress(OSError):
                    companion.unlink()

    def copy_log(self) -> None:
        """Copy the write-ahead log into the main file as far as readers allow, so that the main file is nearly complete."""
        with suppress(SQLAlchemyError, sqlite3.Error), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def transaction(self, *, wait_s: float | None = None) -> Iterator[Connection]:
        """Yield a connection inside a write transaction. A transaction of the thread is reused; a new one is committed after the block.

        ``wait_s`` is how long to wait for the lock of another process.
        """
        held = self._held()
        if held is not None:
            yield held
            return
        with self._connection("BEGIN IMMEDIATE", wait_s) as connection:
            local = self._local
            local.connection = connection
            try:
                yield connection
            finally:
                local.connection = None
        if time.monotonic() >= self._next_log_copy:
            self._next_log_copy = time.monotonic() + LOG_COPY_INTERVAL_S
            self.copy_log()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection with a consistent view of the file; inside a write transaction of the thread, its connection."""
        held = self._held()
        if held is not None:
            yield held
            return
        with self._connection("BEGIN") as connection:
            yield connection

    def change_token(self) -> int:
        """Return a number that changes with every commit to the file, by any process."""
        with self._watch_lock, self._failures():
            if self._watcher is None:
                # SQLite's data_version counts the commits of all other connections, so this connection never writes.
                self._watcher = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
                self._opened = next(_watchers)
            (version,) = self._watcher.execute("PRAGMA data_version").fetchone()
            return int(self._opened << 32 | version)

    def forget_connections(self) -> None:
        """Start with new connections in a forked child, and leave the parent's connections untouched."""
        _inherited.append((self._engine, self._local, list(self._in_use), self._watcher))
        self._start()

    def _start(self) -> None:
        self._local = threading.local()
        self._in_use = set()
        self._watch_lock = threading.Lock()
        self._watcher = None
        self._engine = _make_engine(self.path)
        event.listen(self._engine, "do_connect", self._refuse_another_file)

    def _refuse_another_file(self, *_: object) -> None:
        """Refuse to open another connection if the path leads to another file: that is another history."""
        if self.is_displaced():
            raise sqlite3.OperationalError("unable to open: the file was deleted, moved or replaced")

    def _held(self) -> Connection | None:
        return getattr(self._local, "connection", None)

    @contextmanager
    def _connection(self, begin: str, wait_s: float | None = None) -> Iterator[Connection]:
        engine = self._engine
        with self._failures():
            connection = engine.connect()
            in_use = self._in_use
            in_use.add(connection)
            try:
                if wait_s is not None:
                    _set_busy_timeout(connection, wait_s)
                connection.exec_driver_sql(begin)
                yield connection
                # A child that was forked inside the block must not end its parent's transaction.
                if engine is self._engine:
                    connection.commit()
            finally:
                if engine is self._engine:
                    in_use.discard(connection)
                    if wait_s is not None:
                        _set_busy_timeout(connection, BUSY_TIMEOUT_S)
                    connection.close()

    def _prepare(self) -> None:
        with self.reading() as connection:
            current = schema.is_current(connection, self.path)
        with self._failures(), self._engine.connect() as connection:
            _choose_journal(connection)
        if not current:
            with self.transaction() as connection:
                schema.migrate(connection, self.path)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, UnicodeEncodeError, OverflowError) as error:  # the last two: what no column holds
            raise explain(error, self.path) from error


def explain(error: Exception, path: Path) -> StoreError:
    """Convert ``error``, raised by the database at ``path``, into a readable error."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    if "is locked" in text:
        message = "The history is busy: another process has been writing to it for a long time."
        return StoreBusyError(message, path=str(path), hint="Try again; a hung kernel may have to be killed.")
    for part, message, hint in _MEANINGS:
        if part in text:
            return StoreError(message, path=str(path), hint=hint)
    return StoreError(f"The history cannot be read or written: {text}.", path=str(path), hint="See that the file is whole and writable.")


def _make_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=-1,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin explicitly, not where sqlite3 decides
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _set_busy_timeout(connection: Connection, wait_s: float) -> None:
    """Set how long the connection waits for the lock of another process."""
    driver_connection = connection.connection.driver_connection
    if driver_connection is not None:
        driver_connection.execute(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")


def _choose_journal(connection: Connection) -> None:
    """Turn the write-ahead log on if the file system supports it (network ones do not); else use the rollback journal with full sync.

    The switch needs exclusive access to the file and, unlike other statements, does not wait for it. So two processes that create the file
    at the same time take turns here.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
            if mode != "wal":
                mode = connection.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
            break
        except DBAPIError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":
        event.listen(connection.engine, "connect", _be_safe_without_wal)
        connection.exec_driver_sql("PRAGMA synchronous = FULL")


def _be_safe_without_wal(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    for database in list(_all):
        with suppress(Exception):  # an exception in a fork hook would only be printed
            database.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
