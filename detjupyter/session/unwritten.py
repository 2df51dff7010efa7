"""The events of a session that are not yet written to the store."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.framework.metrics import scalars
from detjupyter.protocol.events import (
    Checkpointed,
    CodeReplaced,
    CommandAnswered,
    Event,
    Failed,
    Loaded,
    Logged,
    MetricsReported,
    Moved,
    StateChanged,
    Validated,
    Warned,
)
from detjupyter.protocol.records import CheckpointRecord, FloatArray, LogLine
from detjupyter.protocol.states import Group
from detjupyter.protocol.wire import encode
from detjupyter.store.base import RunCounts, SeriesPoints, Store
from detjupyter.store.series import cut_mark

LOG_LINES_LIMIT = 100_000
"""The maximum number of unwritten log lines; beyond it the oldest are dropped. All other events are kept without limit."""

LASTING = (MetricsReported, Validated, Logged, Checkpointed, Failed, Loaded, StateChanged, Moved, CommandAnswered, CodeReplaced, Warned)
"""The events that a run records; the others only describe the current activity."""


class Unwritten:
    """Unwritten events: points of curves, log lines, events and checkpoints, each in the order reported.

    Thread: not locked; one thread uses it.

    Attributes:
        dropped_lines: The number of dropped log lines.
    """

    def __init__(self) -> None:
        self.dropped_lines = 0
        self._has_loaded = False  # the first load is the run's own recipe
        self._curves_of_run: dict[tuple[Group, str], None] = {}
        self._cut_at: int | None = None  # the batch of the last restore, until the trial is trained further
        self.clear()

    def clear(self) -> None:
        """Drop everything: it was written."""
        self._series: dict[tuple[Group, str], list[tuple[npt.NDArray[np.int64], FloatArray]]] = {}
        self._log: deque[LogLine] = deque()
        self._events: list[dict[str, Any]] = []  # Any: events are free-form JSON objects
        self.checkpoints: list[CheckpointRecord] = []

    def __bool__(self) -> bool:
        return bool(self._series or self._log or self._events or self.checkpoints)

    def counts(self) -> RunCounts:
        """Return the amounts of unwritten data."""
        points = sum(len(values) for parts in self._series.values() for _, values in parts)
        return RunCounts(points, len(self._log), len(self._events))

    def take(self, event: Event, at: float) -> None:
        """Add ``event``, reported at ``at`` (seconds since the Unix epoch), if a run records such events."""
        if self._cut_at is not None and isinstance(event, (MetricsReported, Validated)):
            self._mark(self._cut_at, 0.0)  # from now on the discarded points cannot come back
            self._cut_at = None
        match event:
            case MetricsReported():
                for name, batches, values in event.points():
                    self._parts_of(Group.TRAINING, name).append((batches, values))
            case Validated():
                batches = np.array([event.batches_trained], dtype=np.int64)
                for name, value in scalars(event.metrics).items():
                    self._parts_of(Group.VALIDATION, name).append((batches, np.array([value])))
                self._events.append({"at": at, **encode(event)})
            case Logged():
                self._log.extend(event.lines)
                while len(self._log) > LOG_LINES_LIMIT:
                    self._log.popleft()
                    self.dropped_lines += 1
            case Checkpointed():
                self.checkpoints.append(event.checkpoint)
                self._events.append({"at": at, **encode(event)})
            case Failed():
                self._events.append({"at": at, **encode(replace(event, failure=None))})
            case Loaded() if event.batches_trained or self._has_loaded:
                self._events.append({"at": at, **_encode_reload(event)})
            case Loaded():
                self._has_loaded = True
            case Moved():
                self._mark(event.batches_trained, math.nan)
                self._cut_at = event.batches_trained
                self._events.append({"at": at, **encode(event)})
            case StateChanged() | CommandAnswered() | CodeReplaced() | Warned():
                self._events.append({"at": at, **encode(event)})
            case _:  # events about the current activity are not recorded
                pass

    def forget_run(self) -> None:
        """Drop everything, also the names of the curves: the run was deleted."""
        self.clear()
        self._curves_of_run.clear()

    def write(self, store: Store, run_id: str) -> None:
        """Write everything, with one statement for each kind, inside the caller's transaction.

        Raises:
            StoreError: The store cannot be written.
        """
        store.append_points(run_id, list(self._curves()))
        store.append_log(run_id, list(self._log))
        store.append_events(run_id, self._events)
        for checkpoint in self.checkpoints:
            store.add_checkpoint(checkpoint)

    def _mark(self, batch: int, value: float) -> None:
        mark, values = np.array([cut_mark(batch)]), np.array([value])
        for group, name in self._curves_of_run:
            self._parts_of(group, name).append((mark, values))

    def _parts_of(self, group: Group, name: str) -> list[tuple[npt.NDArray[np.int64], FloatArray]]:
        parts = self._series.get((group, name))
        if parts is None:
            parts = self._series[group, name] = []
            self._curves_of_run[group, name] = None
        return parts

    def _curves(self) -> Iterator[SeriesPoints]:
        """Yield the curves; curves reported for the same batches share one array of batches.

        A trial may use a number as the name of a metric; it is converted to text here.
        """
        joined: dict[tuple[int, ...], npt.NDArray[np.int64]] = {}
        for (group, name), parts in self._series.items():
            key = tuple([id(batches) for batches, _ in parts])  # the arrays are alive, so their ids are unique
            batches = joined.get(key)
            if batches is None:
                batches = joined[key] = np.concatenate([part for part, _ in parts])
            yield SeriesPoints(group, _text(name), batches, np.concatenate([part for _, part in parts]))


def _text(name: object) -> str:
    """Return the name of a metric as text; for an object whose conversion fails, its class, so that the rest of the run is recorded."""
    if isinstance(name, str):
        return str.__str__(name)
    try:
        return str(name)
    except Exception:  # the user's code
        return f"({type(name).__name__})"


def _encode_reload(event: Loaded) -> dict[str, Any]:
    """Return the data of a reload that a run records: the values that apply from that batch on."""
    loaded = event.loaded
    return {
        "kind": event.kind,
        "batches_trained": event.batches_trained,
        "hyperparameters": encode(loaded.hyperparameters),
        "config": encode(loaded.config),
        "versions": encode(loaded.versions),
    }
