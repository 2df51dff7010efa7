"""Adds the runs of other tools to the history: CSV files and TensorBoard's event files."""

from __future__ import annotations

import csv
import logging
import math
import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detjupyter.errors import ArgumentError, MissingPackageError
from detjupyter.protocol.records import UNKNOWN_DEVICE, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
from detjupyter.store.base import SeriesPoints, Store
from detjupyter.store.export.tensorboard import EVENT_FILE
from detjupyter.store.history import Run, RunList
from detjupyter.store.run_ids import new_run_id
from detjupyter.text import one_line

_logger = logging.getLogger("detjupyter")
_STEPS = ("batch", "batches", "step", "global_step", "_step", "iteration", "epoch")
_VALIDATION = re.compile(r"(?:validation|valid|val|eval)[/_]", re.IGNORECASE)
_LARGEST_STEP = 2**62
_LATEST_TIME = 2**32
"""Times of events from the year 2106 on are those of damaged files; calendars and data frames cannot represent all of them."""


@dataclass(slots=True)
class _Found:
    """A run as another tool wrote it.

    Attributes:
        name: The path relative to what is imported.
        created_at: Seconds since the epoch.
        ended_at: Likewise.
        columns: (batches, values) of each metric, both in the order of the file.
    """

    name: str
    created_at: float
    ended_at: float
    columns: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)

    def add(self, column: str, batch: int, cell: str) -> bool:
        """Add a value; return whether the cell has a number."""
        try:
            value = float(cell)
        except ValueError:
            return False
        batches, values = self.columns.setdefault(column, ([], []))
        batches.append(batch)
        values.append(value)
        return True


def import_runs(path: str | os.PathLike[str]) -> RunList:
    """Add runs to the history, to look at them and compare them with others.

    A CSV file is one run: a row for each step, a column for each metric. The steps are in the first column ``batch``, ``step``,
    ``global_step``, ``iteration`` or ``epoch``; without one, rows are counted from 1. A directory with event files of TensorBoard is one
    run, too. Of a directory, all such files and directories in it are imported. Metrics whose name begins with ``val``, ``valid``,
    ``validation`` or ``eval`` and ``/`` or ``_`` count as those of validations.

    Args:
        path: A CSV file or a directory.

    Raises:
        ArgumentError: There is nothing to import, or a file cannot be read; nothing was imported then.
        MissingPackageError: Event files need the package tensorboard.
    """
    root = Path(path).expanduser().absolute()
    if not root.exists():
        raise ArgumentError(f"There is no file or directory {root}.", hint="A relative path begins at the working directory.")
    found = list(_read(root))
    if not found:
        raise ArgumentError(
            f"There is nothing to import in {root}.", hint="Give a CSV file, or a directory with event files of TensorBoard."
        )
    store = open_store()
    with store.transaction():
        run_ids = [_add(store, one, root) for one in found]
    return RunList((Run(store, run_id) for run_id in run_ids), are_chosen=True)


def _read(root: Path) -> Iterator[_Found]:
    if not root.is_dir():
        if root.suffix.lower() == ".csv":
            yield _read_csv(root, root.stem)
        elif root.name.startswith(EVENT_FILE):
            raise ArgumentError(f"{root} is one event file.", hint=f"Give its directory: {root.parent}.")
        return
    for directory, folders, files in os.walk(root):
        folders.sort()
        place = Path(directory)
        name = root.name if place == root else place.relative_to(root).as_posix()
        for file in sorted(files):
            if file.lower().endswith(".csv"):
                yield _read_csv(place / file, (place / file).relative_to(root).with_suffix("").as_posix())
        if any(file.startswith(EVENT_FILE) for file in files):
            yield _read_events(place, name)


def _read_csv(path: Path, name: str) -> _Found:
    at = path.stat().st_mtime if path.is_file() else 0.0
    found, texts = _Found(name, at, at), set[str]()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            step = next((index for index, column in enumerate(header) if column.strip().lower() in _STEPS), None)
            for number, row in enumerate(reader, 1):
                batch = number if step is None else _step(row[step] if step < len(row) else "", path, reader.line_num)
                cells = [pair for index, pair in enumerate(zip(header, row, strict=False)) if index != step and pair[1].strip()]
                texts |= {column for column, cell in cells if not found.add(column, batch, cell)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArgumentError(f"{path} cannot be read: {error}.") from None
    if texts:
        _logger.warning("%s: not imported, because they have values that are not numbers: %s.", path, one_line(", ".join(sorted(texts))))
    return found


def _step(cell: str, path: Path, line: int) -> int:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (value.is_integer() and 0 <= value < _LARGEST_STEP):
        raise ArgumentError(f"{cell!r} is not a step: steps are whole numbers from 0.", where=f"{path}, line {line}")
    return int(value)


def _read_events(directory: Path, name: str) -> _Found:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise MissingPackageError("TensorBoard's event files", "tensorboard") from None
    events: Any = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    points = {tag: [(event.wall_time, event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    for tag in events.Tags()["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":  # as TensorFlow 2 writes them
            arrays = [(event.wall_time, event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
            points[tag] = [(at, step, float(array.flat[0])) for at, step, array in arrays if array.size and array.dtype.kind not in "OSUc"]
    times = [at for column in points.values() for at, _, _ in column if 0 <= at < _LATEST_TIME] or [directory.stat().st_mtime]
    columns = {
        tag: ([max(0, step) for _, step, _ in column], [value for _, _, value in column]) for tag, column in points.items() if column
    }
    return _Found(name, min(times), max(times), columns)


def _add(store: Store, found: _Found, root: Path) -> str:
    curves = [_points(name, batches, values) for name, (batches, values) in found.columns.items()]
    run_id = new_run_id()
    batches_trained = max((int(curve.batches.max()) for curve in curves if len(curve.batches)), default=0)
    latest: dict[str, dict[str, float]] = {}
    for curve in curves:
        latest.setdefault(curve.group.value, {})[curve.name] = float(curve.values[-1])
    session = SessionRecord(
        run_id, run_id, found.name, root.name, str(root), "imported", UNKNOWN_DEVICE,
        state=State.FINISHED, batches_trained=batches_trained, elapsed_s=found.ended_at - found.created_at, latest=latest,
    )  # fmt: skip
    store.create_run(_record(session, found))
    store.append_points(run_id, curves)
    return run_id


def _record(session: SessionRecord, found: _Found) -> RunRecord:
    return RunRecord(
        id=session.session_id, state=State.FINISHED, entrypoint=session.entrypoint, definition=session.definition,
        definition_root=session.definition_root, framework=session.framework, device=session.device, seed=0, hyperparameters={},
        config={}, bundle_hash="", kernel_id=None, host=platform.node(), pid=os.getpid(), created_at=found.created_at,
        updated_at=found.ended_at, ended_at=found.ended_at, batches_trained=session.batches_trained, best=None, session=session,
    )  # fmt: skip


def _points(name: str, batches: Sequence[int], values: Sequence[float]) -> SeriesPoints:
    """Return a column as a curve; a column of our own exports has the name of its group before its own."""
    group = Group.VALIDATION if _VALIDATION.match(name) else Group.TRAINING
    return SeriesPoints(group, name.removeprefix(f"{group.value}/"), np.array(batches, np.int64), np.array(values, np.float64))
