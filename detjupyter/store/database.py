"""One SQLite file as this process has it open: connections, transactions, failures told in words.

Everyone in the process who opens the same file shares one :class:`Database`, from any thread. A forked child must not use a connection of
its parent, nor even close one (that would give up locks and rewrite shared memory under the parent), so it forgets them and opens its
own.
"""

from __future__ import annotations

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

from detjupyter.errors import StoreError
from detjupyter.store import schema

BUSY_TIMEOUT_S = 10.0

_lock = threading.Lock()
_open: dict[Path, Database] = {}
_all: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Any] = []  # what a forked child must keep from being closed: engines, connections

# What SQLite's messages mean to a person, by a part of the message.
_MEANINGS = (
    (
        "is locked",
        "The history is busy: another process has been writing to it for a long time.",
        "Try again; a hung kernel may have to be killed.",
    ),
    ("disk is full", "The disk with the history is full.", "Free some space; the curves since then are not kept."),
    ("readonly", "The history cannot be written: the file or its directory is read-only.", "Make it writable, or set DETJUPYTER_HOME."),
    ("not a database", "The history is damaged: this is not a SQLite file.", "Move the file away; a new history is then begun."),
    (
        "malformed",
        "The history is damaged.",
        "Move the file away, and a new history is begun (`sqlite3 FILE .recover` may save it).",
    ),
    ("unable to open", "The history cannot be opened.", "See that the directory exists and is writable, or set DETJUPYTER_HOME."),
)


class Database:
    """The file ``path``, with a current schema.

    Thread: any.

    Raises:
        StoreError: the file or its directory cannot be made or opened, is no history, or a newer one than this code knows.
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
        self._start()
        _make_file(path)
        try:
            self._prepare()
        except BaseException:
            self._engine.dispose()
            raise
        _all.add(self)

    @classmethod
    def shared(cls, path: Path) -> Database:
        """Return the process's database for ``path``, opened if it is not; :meth:`release` gives it back."""
        resolved = Path(os.path.realpath(path))
        with _lock:
            database = _open.get(resolved)
            if database is None or not resolved.exists():  # who deleted the history wants a new one, not writes into nowhere
                database = _open[resolved] = cls(resolved)
            database.users += 1
            return database

    def release(self) -> None:
        """Give up one user's share; the last one closes the connections."""
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

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection inside a write transaction, the thread's own if it is in one; a new one is committed when the block ends."""
        held = self._held()
        if held is not None:
            yield held
            return
        with self._connection("BEGIN IMMEDIATE") as connection:
            local = self._local
            local.connection = connection
            try:
                yield connection
            finally:
                local.connection = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one moment of the file: that of the thread's write transaction if it is in one."""
        held = self._held()
        if held is not None:
            yield held
            return
        with self._connection("BEGIN") as connection:
            yield connection

    def change_token(self) -> int:
        """Return a number that another commit to the file, by anyone, changes."""
        with self._watch_lock, self._failures():
            if self._watcher is None:
                # SQLite's data_version counts the commits of all connections but the one that asks; so this one never writes.
                self._watcher = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
                self._opened += 1
            (version,) = self._watcher.execute("PRAGMA data_version").fetchone()
            return int(self._opened << 32 | version)

    def forget_connections(self) -> None:
        """Start anew in a forked child, leaving the parent's connections untouched."""
        _inherited.append((self._engine, self._local, list(self._in_use), self._watcher))
        self._start()

    def _start(self) -> None:
        self._local = threading.local()
        self._in_use = set()
        self._watch_lock = threading.Lock()
        self._watcher = None
        self._engine = _make_engine(self.path)

    def _held(self) -> Connection | None:
        return getattr(self._local, "connection", None)

    @contextmanager
    def _connection(self, begin: str) -> Iterator[Connection]:
        engine = self._engine
        with self._failures():
            connection = engine.connect()
            in_use = self._in_use
            in_use.add(connection)
            try:
                connection.exec_driver_sql(begin)
                yield connection
                # A child forked inside the block must not end its parent's transaction.
                if engine is self._engine:
                    connection.commit()
            finally:
                if engine is self._engine:
                    in_use.discard(connection)
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
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise explain(error, self.path) from error


def explain(error: Exception, path: Path) -> StoreError:
    """Return ``error``, which the database at ``path`` raised, in words."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
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
    connection.isolation_level = None  # transactions begin where we say so, not where sqlite3 guesses
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _choose_journal(connection: Connection) -> None:
    """Turn the write-ahead log on, where the file system can (network ones cannot); else keep the rollback journal, at its safer setting.

    The switch needs the file for itself and does not wait for it, unlike everything else, so two processes that make the file at once
    take turns here.
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


def _make_file(path: Path) -> None:
    """Make the file and its directory, for the user's eyes only, where they are missing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(
            f"The history cannot be made: {error.strerror or error}.",
            path=str(path),
            hint="Make the directory writable, or set DETJUPYTER_HOME to one that is.",
        ) from error


def _forget_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it
    for database in list(_all):
        with suppress(Exception):  # an exception in a fork hook would only be printed
            database.forget_connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
