"""The history in a SQLite file, through SQLAlchemy Core.

Statements are built once, below, so that SQLAlchemy compiles each only once, and SQLite prepares each once per connection. All values are
passed as parameters.
"""

# ruff: noqa: D102 - the contract of the methods is in Store.

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Insert, Row, Text, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from detjupyter.errors import ProtocolError, RunNotFoundError, StoreError, UnreadableRunError
from detjupyter.protocol.records import BestRecord, CheckpointRecord, FloatArray, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.protocol.wire import decode, encode
from detjupyter.store.annotation import Annotation
from detjupyter.store.base import BatchArray, RunCounts, SeriesPoints, Store, as_points, no_checkpoint
from detjupyter.store.database import Database
from detjupyter.store.leftovers import checkpoints_of, sweep, unrecorded
from detjupyter.store.owner import REMOTE_SILENCE_S, Owner
from detjupyter.store.schema import checkpoints, events, log, runs, series
from detjupyter.store.series import drop_replaced
from detjupyter.store.sql_summaries import select_chosen, select_summaries, to_summaries, unreadable_run
from detjupyter.store.summary import RunSummary

_logger = logging.getLogger("detjupyter")

_JSON_COLUMNS = ("hyperparameters", "config", "best", "session", "recipe", "versions", "tags")
_STATES = {state.value: state for state in State}
_LIVE = [state.value for state in State if state.is_live]

_INSERT_RUN = insert(runs)
_IS_THERE = runs.c.deleted_at.is_(None)
_UPDATE_RUN = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), _IS_THERE)
    .values({name: bindparam(f"new_{name}") for name in ("state", "session", "best", "batches_trained", "ended_at", "updated_at")})
)
_END_RUN = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.state.in_(_LIVE), runs.c.updated_at == bindparam("seen"))
    .values(state=State.INTERRUPTED.value, ended_at=bindparam("seen"), updated_at=bindparam("now"))
)
_DELETE_RUN = delete(runs).where(runs.c.id == bindparam("run_id"))
_SELECT_RUN = select(runs).where(runs.c.id == bindparam("run_id"), _IS_THERE)
_SELECT_ID = select(runs.c.id).where(runs.c.id == bindparam("run_id"), _IS_THERE)
_MARK_DELETED = update(runs).where(runs.c.id == bindparam("run_id"), _IS_THERE).values(deleted_at=bindparam("at"))
_UNDELETE = update(runs).where(runs.c.id == bindparam("run_id")).values(deleted_at=None)
_SELECT_MARKED = select(runs.c.id).where(runs.c.deleted_at <= bindparam("until")).order_by(runs.c.number)
_SELECT_LIVE = select(runs).where(runs.c.state.in_(_LIVE), _IS_THERE)
_SELECT_UPDATED = (
    select(runs)
    .where(or_(runs.c.updated_at > bindparam("since"), runs.c.annotated_at > bindparam("since")), _IS_THERE)
    .order_by(runs.c.updated_at, runs.c.number)
)
_IS_LISTED = and_(or_(bindparam("include_archived"), runs.c.archived == 0), _IS_THERE)
_SELECT_NEWEST = select(runs).where(_IS_LISTED).order_by(runs.c.created_at.desc(), runs.c.number.desc()).limit(bindparam("limit"))
_IS_OLDER = or_(
    runs.c.created_at < bindparam("created_at"),
    (runs.c.created_at == bindparam("created_at")) & (runs.c.number < bindparam("number")),
)
_SELECT_OLDER = _SELECT_NEWEST.where(_IS_OLDER)
_SELECT_STATES = (
    select(runs.c.id, runs.c.state)
    .where(
        or_(bindparam("state", type_=Text).is_(None), runs.c.state == bindparam("state")),
        or_(bindparam("entrypoint", type_=Text).is_(None), runs.c.entrypoint == bindparam("entrypoint")),
        _IS_LISTED,
    )
    .order_by(runs.c.created_at.desc(), runs.c.number.desc())
    .limit(bindparam("limit"))
)
_SELECT_OLDER_STATES = _SELECT_STATES.where(_IS_OLDER)
# Text, not a construct of SQLAlchemy, which would process each of a thousand rows several times in Python.
_INSERT_SERIES = 'INSERT INTO series (run_id, metric_group, name, first_batch, count, batches, "values") VALUES (?, ?, ?, ?, ?, ?, ?)'
_SELECT_NAMES = (
    select(series.c.metric_group, series.c.name)
    .where(series.c.run_id == bindparam("run_id"))
    .group_by(series.c.metric_group, series.c.name)
    .order_by(func.min(series.c.id))
)
_POINTS = (series.c.first_batch, series.c.count, series.c.batches, series.c["values"])
_SELECT_SERIES = (
    select(*_POINTS)
    .where(series.c.run_id == bindparam("run_id"), series.c.metric_group == bindparam("metric_group"), series.c.name == bindparam("name"))
    .order_by(series.c.id)
)
_SELECT_SERIES_SINCE = (
    select(*_POINTS, series.c.id, series.c.metric_group, series.c.name)
    .where(series.c.run_id == bindparam("run_id"), series.c.id > bindparam("after"))
    .order_by(series.c.id)
)
_INSERT_EVENT = insert(events)
_SELECT_EVENTS = select(events.c.event).where(events.c.run_id == bindparam("run_id")).order_by(events.c.id)
_INSERT_LOG = insert(log)
_SELECT_LOG = (
    select(log.c.id, log.c.at, log.c.stream, log.c.text)
    .where(log.c.run_id == bindparam("run_id"), log.c.id > bindparam("after"))
    .order_by(log.c.id.desc())
    .limit(bindparam("limit"))
)
_COUNT_POINTS = select(func.coalesce(func.sum(series.c.count), 0)).where(series.c.run_id == bindparam("run_id"))
_COUNT_LOG = select(func.count()).select_from(log).where(log.c.run_id == bindparam("run_id"))
_COUNT_EVENTS = select(func.count()).select_from(events).where(events.c.run_id == bindparam("run_id"))
_INSERT_CHECKPOINT = insert(checkpoints)
_DELETE_CHECKPOINT = delete(checkpoints).where(checkpoints.c.id == bindparam("checkpoint_id"))
_SELECT_CHECKPOINTS = select(checkpoints).where(checkpoints.c.run_id == bindparam("run_id")).order_by(checkpoints.c.number)
_SELECT_CHECKPOINT = (
    select(checkpoints).join(runs, runs.c.id == checkpoints.c.run_id).where(checkpoints.c.id == bindparam("checkpoint_id"), _IS_THERE)
)


class SqlStore(Store):
    """The history in the SQLite file ``path``, which is created if it does not exist.

    Raises:
        StoreError: The file or its directory cannot be created or opened, or the file is not a history, or has a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self._use(Database.shared(path))

    def _use(self, database: Database) -> None:
        self._open_database: Database | None = database
        self._path = database.path
        self._unreadable: set[str] = set()

    @property
    def home(self) -> Path:
        return self._path.parent

    @contextmanager
    def transaction(self, *, wait_s: float | None = None) -> Iterator[None]:
        with self._database.transaction(wait_s=wait_s):
            yield

    def create_run(self, run: RunRecord) -> None:
        owner = Owner.named(run.host, run.pid)
        row = encode(run) | {"seed": str(run.seed), "owner_started_at": owner.started_at, "owner_space": owner.space}
        for name in _JSON_COLUMNS:
            row[name] = _to_json(row[name])
        self._insert(_INSERT_RUN, _storable(row), run.id, f"A run with the id {run.id!r} already exists.")

    def update_run(
        self,
        run_id: str,
        *,
        state: State,
        session: SessionRecord | None,
        best: BestRecord | None,
        batches_trained: int,
        ended_at: float | None,
    ) -> None:
        new = {"new_state": state.value, "new_batches_trained": batches_trained, "new_ended_at": ended_at}
        new |= {"new_session": _to_json(encode(session)), "new_best": _to_json(encode(best))}
        with self._database.transaction() as connection:
            # The time is taken while the transaction holds the lock, so that times are in the order of commits and watchers miss no change.
            done = connection.execute(_UPDATE_RUN, {"run_id": run_id, "new_updated_at": time.time(), **new})
            if not done.rowcount:
                raise RunNotFoundError(run_id)

    def annotate_runs(self, run_ids: Iterable[str], annotation: Annotation) -> None:
        with self._database.transaction() as connection:
            for run_id in dict.fromkeys(run_ids):
                changes = annotation.changes(self._read_run(_find_run(connection, run_id)))
                if changes:
                    changes |= {"tags": _to_json(changes["tags"])} if "tags" in changes else {}
                    statement = update(runs).where(runs.c.id == run_id)
                    connection.execute(statement.values(_storable(changes | {"annotated_at": time.time()})))

    def append_points(self, run_id: str, curves: Sequence[SeriesPoints]) -> None:
        rows = _series_rows(run_id, curves)
        if rows:
            self._insert(_INSERT_SERIES, rows, run_id)

    def append_events(self, run_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        if events:
            now = time.time()
            rows = [{"run_id": run_id, "at": now, "event": _to_json(encode(event))} for event in events]
            self._insert(_INSERT_EVENT, [_storable(row) for row in rows], run_id)

    def append_log(self, run_id: str, lines: Sequence[LogLine]) -> None:
        if lines:
            rows = [{"run_id": run_id, "at": line.at, "stream": line.stream, "text": line.text} for line in lines]
            self._insert(_INSERT_LOG, [_storable(row) for row in rows], run_id)

    def add_checkpoint(self, checkpoint: CheckpointRecord) -> None:
        message = f"A checkpoint with the id {checkpoint.id!r} already exists."
        self._insert(_INSERT_CHECKPOINT, _storable(encode(checkpoint)), checkpoint.run_id, message)

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        with self._database.transaction() as connection:
            if not connection.execute(_DELETE_CHECKPOINT, {"checkpoint_id": checkpoint_id}).rowcount:
                raise no_checkpoint(checkpoint_id)

    def runs(self, *, limit: int = 100, before: str | None = None, include_archived: bool = True) -> list[RunRecord]:
        where: dict[str, Any] = {"limit": limit, "include_archived": include_archived}
        with self._database.reading() as connection:
            if before is None:
                rows = connection.execute(_SELECT_NEWEST, where).all()
            else:
                anchor = _find_run(connection, before)
                where |= {"created_at": anchor.created_at, "number": anchor.number}
                rows = connection.execute(_SELECT_OLDER, where).all()
        return list(self._readable(rows, self._read_run))

    def run_states(
        self,
        *,
        limit: int | None = 100,
        before: str | None = None,
        state: State | None = None,
        entrypoint: str | None = None,
        include_archived: bool = True,
    ) -> dict[str, State]:
        live = self._live_runs()
        where = {"limit": -1 if limit is None else limit, "state": None if state is None else state.value, "entrypoint": entrypoint}
        where["include_archived"] = include_archived
        with self._database.reading() as connection:
            if before is None:
                rows = connection.execute(_SELECT_STATES, where).all()
            else:
                anchor = _find_run(connection, before)
                where |= {"created_at": anchor.created_at, "number": anchor.number}
                rows = connection.execute(_SELECT_OLDER_STATES, where).all()
        # A process that cannot write has not recorded that the owner of a live run has ended.
        states = {run_id: live[run_id].state if run_id in live else _STATES[name] for run_id, name in rows if name in _STATES}
        return states if state is None else {run_id: found for run_id, found in states.items() if found is state}

    def _live_runs(self) -> dict[str, RunRecord]:
        """Return the runs that were live, after checking the owner of each."""
        with self._database.reading() as connection:
            live = connection.execute(_SELECT_LIVE).all()
        return {run.id: run for run in self._readable(live, self._read_run)}

    def summaries(
        self, *, limit: int | None = None, before: str | None = None, entrypoint: str | None = None, updated_since: float | None = None
    ) -> list[RunSummary]:
        live = self._live_runs()
        with self._database.reading() as connection:
            anchor = None if before is None else _find_run(connection, before)
            rows = select_summaries(connection, limit=limit, before=anchor, entrypoint=entrypoint, updated_since=updated_since)
        return self._summaries(rows, live)

    def summaries_of(self, run_ids: Sequence[str]) -> list[RunSummary]:
        live = self._live_runs()
        with self._database.reading() as connection:
            rows = select_chosen(connection, run_ids)
        found = {run.id: run for run in self._summaries(rows, live)}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def _summaries(self, rows: Sequence[Row[Any]], live: Mapping[str, RunRecord]) -> list[RunSummary]:
        """Return the runs in ``rows``; a process that cannot write has not recorded that the owner of a ``live`` one has ended."""
        read = to_summaries(rows, self._warn_once)
        return [run._replace(state=live[run.id].state) if run.id in live and run.state.is_live else run for run in read]

    def runs_updated_since(self, updated_at: float) -> list[RunRecord]:
        self._live_runs()
        with self._database.reading() as connection:
            rows = connection.execute(_SELECT_UPDATED, {"since": updated_at}).all()
        return list(self._readable(rows, _to_run))

    def run(self, run_id: str) -> RunRecord:
        with self._database.reading() as connection:
            row = _find_run(connection, run_id)
        return self._read_run(row)

    def delete_run(self, run_id: str) -> None:
        with self._database.transaction() as connection:
            row = connection.execute(_SELECT_RUN, {"run_id": run_id}).first()
            run = None if row is None else self._read_run(row)
            if run is not None and run.state.is_live:
                raise StoreError(f"The run {run_id!r} is {run.state.value}.", path=str(self._path), hint="Stop it first.")
            if not connection.execute(_DELETE_RUN, {"run_id": run_id}).rowcount:
                raise RunNotFoundError(run_id)

    def mark_deleted(self, run_ids: Iterable[str], at: float) -> None:
        with self._database.transaction() as connection:
            for run_id in run_ids:
                if not connection.execute(_MARK_DELETED, {"run_id": run_id, "at": at}).rowcount:
                    raise RunNotFoundError(run_id)

    def undelete(self, run_ids: Iterable[str]) -> None:
        with self._database.transaction() as connection:
            for run_id in run_ids:
                if not connection.execute(_UNDELETE, {"run_id": run_id}).rowcount:
                    raise RunNotFoundError(run_id)

    def marked_deleted(self, until: float) -> list[str]:
        with self._database.reading() as connection:
            return [row.id for row in connection.execute(_SELECT_MARKED, {"until": until})]

    def series_names(self, run_id: str) -> list[tuple[Group, str]]:
        return [(Group(row.metric_group), row.name) for row in self._select(run_id, _SELECT_NAMES)]

    def series(self, run_id: str, group: Group, name: str) -> tuple[BatchArray, FloatArray]:
        return drop_replaced(*_join(self._select(run_id, _SELECT_SERIES, metric_group=group.value, name=name)))

    def series_since(self, run_id: str, cursor: int) -> tuple[int, list[tuple[Group, str, BatchArray, FloatArray]]]:
        rows = self._select(run_id, _SELECT_SERIES_SINCE, after=cursor)
        chunks: dict[tuple[str, str], list[Row[Any]]] = {}
        for row in rows:
            chunks.setdefault((row.metric_group, row.name), []).append(row)
        return (rows[-1].id if rows else cursor), [(Group(group), name, *_join(some)) for (group, name), some in chunks.items()]

    def log(self, run_id: str, after: int = 0, *, last: int | None = None) -> tuple[int, list[LogLine]]:
        rows = self._select(run_id, _SELECT_LOG, after=after, limit=-1 if last is None else last)
        lines = [LogLine(row.at, row.stream, row.text) for row in reversed(rows)]
        return (rows[0].id if rows else after), lines

    def events(self, run_id: str) -> list[dict[str, Any]]:
        return [json.loads(row.event) for row in self._select(run_id, _SELECT_EVENTS)]

    def counts(self, run_id: str) -> RunCounts:
        with self._database.reading() as connection:
            _find_run(connection, run_id)
            totals = [connection.execute(one, {"run_id": run_id}).scalar_one() for one in (_COUNT_POINTS, _COUNT_LOG, _COUNT_EVENTS)]
        return RunCounts(*map(int, totals))

    def checkpoints(self, run_id: str) -> list[CheckpointRecord]:
        return [_to_checkpoint(row) for row in self._select(run_id, _SELECT_CHECKPOINTS)]

    def checkpoint(self, checkpoint_id: str) -> CheckpointRecord:
        with self._database.reading() as connection:
            row = connection.execute(_SELECT_CHECKPOINT, {"checkpoint_id": checkpoint_id}).first()
        if row is None:
            raise no_checkpoint(checkpoint_id)
        return _to_checkpoint(row)

    def change_token(self) -> int:
        left = self.follow()
        if left is not None:
            left.close()
        return self._database.change_token()

    def follow(self) -> SqlStore | None:
        database = self._database
        if not database.is_displaced():
            return None
        self._open_database = Database.shared(self._path)
        database.copy_log()  # so that a file moved without its companions is complete
        left = SqlStore.__new__(SqlStore)
        left._use(database)
        return left

    def close(self) -> None:
        database, self._open_database = self._open_database, None
        if database is not None:
            database.release()

    @property
    def _database(self) -> Database:
        if self._open_database is None:
            raise StoreError("This store is closed.", path=str(self._path), hint="Open another with open_store().")
        return self._open_database

    def _insert(self, statement: Insert | str, rows: Any, run_id: str, duplicate: str = "") -> None:  # Any: rows for SQLAlchemy
        with self._database.transaction() as connection:
            try:
                if isinstance(statement, str):
                    connection.exec_driver_sql(statement, rows)
                else:
                    connection.execute(statement, rows)
            except IntegrityError as error:
                if "FOREIGN KEY" in str(error.orig):
                    raise RunNotFoundError(run_id) from error
                if duplicate and "UNIQUE" in str(error.orig):
                    raise StoreError(duplicate, path=str(self._path), hint="Ids are never used twice.") from error
                raise

    def _select(self, run_id: str, statement: Any, **values: Any) -> Sequence[Row[Any]]:
        with self._database.reading() as connection:
            if connection.execute(_SELECT_ID, {"run_id": run_id}).first() is None:
                raise RunNotFoundError(run_id)
            rows: Sequence[Row[Any]] = connection.execute(statement, {"run_id": run_id, **values}).all()
            return rows

    def _readable(self, rows: Iterable[Row[Any]], read: Callable[[Row[Any]], RunRecord]) -> Iterator[RunRecord]:
        for row in rows:
            try:
                yield read(row)
            except UnreadableRunError as error:
                self._warn_once(error)

    def _warn_once(self, error: UnreadableRunError) -> None:
        """Log that a run cannot be read; only the first listing does, and it hides no other run."""
        if error.message not in self._unreadable:
            self._unreadable.add(error.message)
            _logger.warning("%s", error)

    def _read_run(self, row: Row[Any]) -> RunRecord:
        """Return the run of ``row``; if its owner has ended, record and return it as interrupted."""
        run, now = _to_run(row), time.time()
        owner = Owner(run.host, run.pid, row.owner_started_at, row.owner_space)
        if not run.state.is_live or not owner.is_gone(run.updated_at, now):
            return run
        # Before the state changes: if this process is killed, too, the next one does it. A process of another host possibly still lives.
        left = self._tidied(run.id, owner) if run.host == socket.gethostname() else []
        try:
            with self._database.transaction() as connection:
                known = {known.id for known in connection.execute(_SELECT_CHECKPOINTS, {"run_id": run.id})}
                for checkpoint in left:
                    if checkpoint.id not in known:
                        connection.execute(_INSERT_CHECKPOINT, _storable(encode(checkpoint)))
                connection.execute(_END_RUN, {"run_id": run.id, "seen": run.updated_at, "now": now})
                return _to_run(_find_run(connection, run.id))
        except RunNotFoundError:
            pass  # the run was deleted after it was read
        except StoreError:
            pass  # read-only or busy: a process that can write will record it
        return replace(run, state=State.INTERRUPTED, ended_at=run.updated_at)

    def _tidied(self, run_id: str, owner: Owner) -> list[CheckpointRecord]:
        """Delete the incomplete checkpoints of a run whose process has ended, and return the complete ones that it had not recorded.

        In another container of the same name the process possibly still lives. Then only what it has not touched for minutes counts.
        """
        directory = checkpoints_of(self.home, run_id)
        if directory is None:
            return []
        untouched_s = 0.0 if owner.can_be_checked else REMOTE_SILENCE_S
        try:
            sweep(directory, untouched_s=untouched_s)
            left = unrecorded(directory, run_id, [one.id for one in self.checkpoints(run_id)])
        except (OSError, RunNotFoundError):  # unreadable, or deleted since
            return []
        return [one for one in left if time.time() - one.created_at >= untouched_s]


def _find_run(connection: Connection, run_id: str) -> Row[Any]:
    row = connection.execute(_SELECT_RUN, {"run_id": run_id}).first()
    if row is None:
        raise RunNotFoundError(run_id)
    return row


def _to_run(row: Row[Any]) -> RunRecord:
    data = dict(row._mapping)
    try:
        data["seed"] = int(data["seed"])
        data |= {name: bool(data[name]) for name in ("starred", "archived")}
        for name in _JSON_COLUMNS:
            data[name] = None if data[name] is None else json.loads(data[name])
        return decode(RunRecord, data)
    except (ProtocolError, TypeError, ValueError) as error:
        raise unreadable_run(row.id, error) from error


def _to_checkpoint(row: Row[Any]) -> CheckpointRecord:
    return decode(CheckpointRecord, {**row._mapping, "automatic": bool(row.automatic)})


def _series_rows(run_id: str, curves: Sequence[SeriesPoints]) -> list[tuple[Any, ...]]:  # Any: the columns of the table
    """Return a row for each chunk that has points.

    Raises:
        ValueError: Batches and values differ in shape, or have more than one dimension.
    """
    rows = []
    seen: BatchArray | None = None  # thousands of metrics reported for the same batches share one array
    first, blob = 0, None
    for group, name, batches, values in curves:
        values = np.asarray(values, dtype="<f8")
        if batches is not seen:
            seen, (batches, _) = batches, as_points(batches, values)
            first, blob = _packed(batches)
        elif values.shape != batches.shape:
            as_points(batches, values)  # raises
        if len(values):
            rows.append((run_id, group.value, _text(name), first, len(values), blob, values.tobytes()))
    return rows


def _packed(batches: BatchArray) -> tuple[int, bytes | None]:
    """Return the first batch, and all batches as bytes if they are not consecutive."""
    if not len(batches):
        return 0, None
    return int(batches[0]), None if (np.diff(batches) == 1).all() else batches.tobytes()


def _text(value: str) -> str:
    """Return ``value`` in a form that SQLite accepts: lone surrogates (undecodable bytes in output or paths) become escape sequences."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    """Return ``row`` with every text in a form that SQLite accepts."""
    for name, value in row.items():
        if type(value) is str:
            row[name] = _text(value)
    return row


def _to_json(value: Any) -> str | None:  # Any: a result of encode()
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _join(rows: Sequence[Row[Any]]) -> tuple[BatchArray, FloatArray]:
    if not rows:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    firsts, counts, listed, values = zip(*[tuple(row)[:4] for row in rows], strict=True)
    ends = np.cumsum(counts)
    # Compute the batches of all chunks at once, as if all were consecutive: slow models write many chunks of very few points.
    batches = np.arange(ends[-1]) + np.repeat(np.array(firsts) - ends + counts, counts)
    for end, count, blob in zip(ends, counts, listed, strict=True):
        if blob is not None:
            batches[end - count : end] = np.frombuffer(blob, "<i8")
    return batches.astype(np.int64, copy=False), np.frombuffer(b"".join(values), "<f8").astype(np.float64)
