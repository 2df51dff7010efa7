"""Runs and their metrics as data frames of pandas, which is an optional dependency."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from detjupyter.errors import MissingPackageError
from detjupyter.store.export.table import read_table
from detjupyter.store.run_values import HYPERPARAMETER, flat

if TYPE_CHECKING:
    from detjupyter.store.base import Store
    from detjupyter.store.summary import RunSummary


def metrics_frame(store: Store, run_id: str) -> Any:
    """Return a ``pandas.DataFrame`` of the metrics of a run; see :meth:`detjupyter.store.history.Run.to_frame`."""
    pandas = _pandas()
    table = read_table(store, run_id)
    columns = {column.name: column.spread(len(table.batches)) for column in table.columns}
    return pandas.DataFrame(columns, index=pandas.Index(table.batches, name="batch"))


def runs_frame(runs: Iterable[RunSummary]) -> Any:
    """Return a ``pandas.DataFrame`` of runs; see :func:`detjupyter.store.history.runs_frame`."""
    pandas = _pandas()
    rows = [_row(run) for run in runs]
    names = dict.fromkeys(name for row in rows for name in row)
    frame = pandas.DataFrame({name: [row.get(name) for row in rows] for name in names})
    if "id" not in frame:
        return pandas.DataFrame(index=pandas.Index([], name="id"))
    for name in ("created", "ended"):
        frame[name] = pandas.to_datetime(frame[name], unit="s", utc=True)
    return frame.set_index("id")


def _row(run: RunSummary) -> dict[str, Any]:
    best = run.best
    row: dict[str, Any] = {
        "id": run.id,
        "state": run.state.value,
        "name": run.name,
        "tags": run.tags,
        "note": run.note,
        "starred": run.starred,
        "archived": run.archived,
        "entrypoint": run.entrypoint,
        "definition": run.definition,
        "created": run.created_at,
        "ended": run.ended_at,
        "seconds": run.seconds,
        "batches": run.batches_trained,
        "seed": run.seed,
        "device": run.device,
        "best": None if best is None else best.value,
        "best metric": None if best is None else best.name,
        "best batch": None if best is None else best.batches_trained,
    }
    row |= {f"{HYPERPARAMETER}{name}": value for name, value in flat(run.hyperparameters)}
    return row | {f"{group}.{name}": value for group, values in run.latest.items() for name, value in values.items()}


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise MissingPackageError("Data frames", "pandas") from None
    return pandas
