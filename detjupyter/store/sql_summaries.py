"""Reads summaries of runs from a SQLite file: SQLite takes what is needed out of the session's JSON, which can be long."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, case, func, literal_column, or_, select

from detjupyter.errors import UnreadableRunError
from detjupyter.protocol.records import BestRecord
from detjupyter.protocol.states import State
from detjupyter.protocol.wire import NON_FINITE
from detjupyter.store.schema import runs
from detjupyter.store.summary import RunSummary

_STATES = {state.value: state for state in State}
_SESSION = case((func.json_valid(runs.c.session) == 1, runs.c.session))
_EXTRACTED = {
    "latest": func.json_extract(_SESSION, "$.latest").label("latest"),
    "elapsed_s": func.json_extract(_SESSION, "$.elapsed_s").label("elapsed_s"),
}
_COLUMNS = (
    *(_EXTRACTED[name] if name in _EXTRACTED else runs.c[name] for name in RunSummary._fields),
    case((runs.c.session.is_(None), None), else_=func.coalesce(func.json_type(_SESSION), "damaged")).label("session_type"),
)
_STATE, _SEED, _HYPERPARAMETERS, _BEST, _LATEST, _ELAPSED, _TAGS = map(
    RunSummary._fields.index, ("state", "seed", "hyperparameters", "best", "latest", "elapsed_s", "tags")
)
_FLAGS = tuple(map(RunSummary._fields.index, ("starred", "archived")))
_JSON_PLACES = (_HYPERPARAMETERS, _BEST, _LATEST, _TAGS)
_NEWEST_FIRST = (runs.c.created_at.desc(), runs.c.number.desc())
_IS_THERE = runs.c.deleted_at.is_(None)
_SELECT = (
    select(*_COLUMNS)
    .where(
        or_(bindparam("entrypoint", type_=Text).is_(None), runs.c.entrypoint == bindparam("entrypoint")),
        or_(
            bindparam("before_number").is_(None),
            runs.c.created_at < bindparam("before_time"),
            (runs.c.created_at == bindparam("before_time")) & (runs.c.number < bindparam("before_number")),
        ),
        or_(
            bindparam("updated_since").is_(None),
            runs.c.updated_at > bindparam("updated_since"),
            runs.c.annotated_at > bindparam("updated_since"),
        ),
        _IS_THERE,
    )
    .order_by(*_NEWEST_FIRST)
    .limit(bindparam("limit"))
)
_SELECT_CHOSEN = select(*_COLUMNS).where(
    runs.c.id.in_(select(literal_column("value")).select_from(func.json_each(bindparam("run_ids", type_=Text)))), _IS_THERE
)


def select_summaries(
    connection: Connection, *, limit: int | None, before: Row[Any] | None, entrypoint: str | None, updated_since: float | None
) -> Sequence[Row[Any]]:
    """Return rows for :func:`to_summaries`, newest first; ``before`` is the row of the run of which only older ones are returned."""
    place = (None, None) if before is None else (before.created_at, before.number)
    where = {"limit": -1 if limit is None else limit, "entrypoint": entrypoint, "before_time": place[0], "before_number": place[1]}
    return connection.execute(_SELECT, where | {"updated_since": updated_since}).all()


def select_chosen(connection: Connection, run_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Return rows for :func:`to_summaries` of the runs with these ids, in any order."""
    return connection.execute(_SELECT_CHOSEN, {"run_ids": json.dumps(list(run_ids))}).all()


def unreadable_run(run_id: str, error: Exception) -> UnreadableRunError:
    """Return the error for a run whose row cannot be decoded."""
    return UnreadableRunError(
        f"The run {run_id!r} in the history cannot be read: {error}", hint="Use the version of detjupyter that wrote it."
    )


def to_summaries(rows: Sequence[Row[Any]], unreadable: Callable[[UnreadableRunError], None]) -> list[RunSummary]:
    """Return the summaries in ``rows``; ``unreadable`` gets the error of each run that is damaged, or written by another version."""
    found = []
    columns = (_decoded([row[place] for row in rows]) for place in _JSON_PLACES)
    for row, hyperparameters, best, latest, tags in zip(rows, *columns, strict=True):
        try:
            found.append(_summary(row, hyperparameters, best, latest, tags))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            unreadable(unreadable_run(row.id, error))
    return found


def _summary(row: Row[Any], hyperparameters: Any, best: Any, latest: Any, tags: Any) -> RunSummary:  # Any: decoded JSON
    values = list(row)[: len(RunSummary._fields)]
    elapsed_s = values[_ELAPSED]
    if row.session_type not in (None, "object") or not isinstance(hyperparameters, dict):
        raise ValueError("it has something else where a JSON object belongs")
    values[_STATE], values[_SEED] = _STATES[row.state], int(row.seed)
    values[_HYPERPARAMETERS] = hyperparameters
    values[_BEST] = None if best is None else BestRecord(**best | {"value": _number(best["value"])})
    values[_LATEST] = {} if latest is None else {group: _numbers(numbers) for group, numbers in latest.items()}
    values[_TAGS] = tuple(tags)
    values[_ELAPSED] = None if elapsed_s is None else _number(elapsed_s)
    for place in _FLAGS:
        values[place] = bool(values[place])
    return RunSummary(*values)


def _decoded(texts: Sequence[str | None]) -> list[Any]:
    """Return JSON texts as values, None for those that are missing or damaged.

    They are decoded together, so that all rows share the names in them: that is faster, and takes a third of the memory.
    """
    try:
        values = json.loads(f"[{','.join('null' if text is None else text for text in texts)}]")
        if len(values) == len(texts):
            return list(values)
    except ValueError:
        pass
    return [_one(text) for text in texts]


def _one(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    if str in map(type, values.values()):
        return {name: _number(value) for name, value in values.items()}
    return values


def _number(value: float | str) -> float:
    return NON_FINITE[value] if isinstance(value, str) else float(value)
