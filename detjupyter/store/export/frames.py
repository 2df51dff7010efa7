"""Runs and their metrics as data frames of pandas, which is an optional dependency."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from detjupyter.errors import MissingPackageError
from detjupyter.store.export.table import read_table
from detjupyter.store.run_filter import flat

if TYPE_CHECKING:
    from detjupyter.protocol.records import RunRecord
    from detjupyter.store.base import Store


def metrics_frame(store: Store, run_id: str) -> Any:
    """Return a ``pandas.DataFrame`` of the metrics of a run; see :meth:`detjupyter.store.history.Run.to_frame`."""
    pandas = _pandas()
    table = read_table(store, run_id)
    columns = {column.name: column.spread(len(table.batches)) for column in table.columns}
    return pandas.DataFrame(columns, index=pandas.Index(table.batches, name="batch"))


def runs_frame(records: Iterable[RunRecord]) -> Any:
    """Return a ``pandas.DataFrame`` of runs; see :func:`detjupyter.store.history.runs_frame`."""
    pandas = _pandas()
    rows = [_row(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    frame = pandas.DataFrame({name: [row.get(name) for row in rows] for name in names})
    if "id" not in frame:
        return pandas.DataFrame(index=pandas.Index([], name="id"))
    for name in ("created", "ended"):
        frame[name] = pandas.to_datetime(frame[name], unit="s", utc=True)
    return frame.set_index("id")


def _row(record: RunRecord) -> dict[str, Any]:
    best, session = record.best, record.session
    row: dict[str, Any] = {
        "id": record.id,
        "state": record.state.value,
        "entrypoint": record.entrypoint,
        "definition": record.definition,
        "created": record.created_at,
        "ended": record.ended_at,
        "seconds": None if session is None else session.elapsed_s,
        "batches": record.batches_trained,
        "seed": record.seed,
        "device": record.device,
        "best": None if best is None else best.value,
        "best metric": None if best is None else best.name,
        "best batch": None if best is None else best.batches_trained,
    }
    row |= {f"hparam/{name}": value for name, value in flat(record.hyperparameters)}
    latest = {} if session is None else session.latest
    return row | {f"{group}/{name}": value for group, values in latest.items() for name, value in values.items()}


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise MissingPackageError("Data frames", "pandas") from None
    return pandas
