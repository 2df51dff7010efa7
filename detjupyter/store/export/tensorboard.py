"""Writes a run as TensorBoard's event files, which the importers of other trackers read, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detjupyter.errors import MissingPackageError
from detjupyter.store.export.table import read_table
from detjupyter.store.export.times import times_of

if TYPE_CHECKING:
    from detjupyter.store.base import Store

EVENT_FILE = "events.out.tfevents."
"""How the names of TensorBoard's event files begin."""


def write_events(store: Store, run_id: str, directory: Path) -> None:
    """Write a directory with one event file: every metric as a scalar by batch, the hyperparameters as text.

    The names of TensorBoard's scalars are those of the table, such as ``training/loss``; steps are batches trained.

    Raises:
        MissingPackageError: The package tensorboard is not installed.
        RunNotFoundError: There is no such run.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.text.summary import text_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise MissingPackageError("TensorBoard's event files", "tensorboard") from None
    record, table = store.run(run_id), read_table(store, run_id)
    times = times_of(store, run_id, table.batches).tolist()
    writer: Any = EventFileWriter(str(directory))
    try:
        text = json.dumps(record.hyperparameters, indent=2, sort_keys=True, default=str)
        writer.add_event(Event(wall_time=record.created_at, step=0, summary=text_pb("hyperparameters", f"```json\n{text}\n```")))
        scalars: list[list[Any]] = [[] for _ in table.batches]
        for column in table.columns:
            for row, value in zip(column.rows.tolist(), column.values.tolist(), strict=True):
                scalars[row].append(Summary.Value(tag=column.name, simple_value=value))
        for batch, at, values in zip(table.batches.tolist(), times, scalars, strict=True):
            writer.add_event(Event(wall_time=at, step=batch, summary=Summary(value=values)))
    finally:
        writer.close()
