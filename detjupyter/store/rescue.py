"""Save a run from a history that was deleted or moved while it was open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detjupyter.errors import RunNotFoundError
from detjupyter.protocol.records import CheckpointRecord, LogLine, RunRecord
from detjupyter.protocol.states import State
from detjupyter.store.base import RunCounts, SeriesPoints, Store


@dataclass(frozen=True, slots=True)
class RunCopy:
    """A run with all its data."""

    run: RunRecord
    curves: Sequence[SeriesPoints] = ()
    log: Sequence[LogLine] = ()
    events: Sequence[dict[str, Any]] = ()  # Any: events are free-form JSON objects
    checkpoints: Sequence[CheckpointRecord] = ()

    def counts(self) -> RunCounts:
        """Return the numbers of points, log lines and events."""
        return RunCounts(sum(len(curve.values) for curve in self.curves), len(self.log), len(self.events))


def read_run(store: Store, run_id: str) -> RunCopy:
    """Return a copy of a run.

    Raises:
        RunNotFoundError: There is no such run.
        StoreError: The run cannot be read.
    """
    curves = [SeriesPoints(*curve) for curve in store.series_since(run_id, 0)[1]]
    return RunCopy(store.run(run_id), curves, store.log(run_id)[1], store.events(run_id), store.checkpoints(run_id))


def write_run(store: Store, copy: RunCopy) -> bool:
    """Write a copy of a run in one transaction, and return whether it was written.

    If ``store`` already has a run with that id (the user restored an older copy of the file), the run is replaced, unless it has at least
    as much data.

    Raises:
        StoreError: The run cannot be written.
    """
    run_id = copy.run.id
    with store.transaction():
        try:
            there = store.counts(run_id)
        except RunNotFoundError:
            pass
        else:
            if all(found >= wanted for found, wanted in zip(there, copy.counts(), strict=True)):
                return False
            # a live run cannot be deleted
            store.update_run(run_id, state=State.STOPPED, session=None, best=None, batches_trained=0, ended_at=None)
            store.delete_run(run_id)
        store.create_run(copy.run)
        store.append_points(run_id, copy.curves)
        store.append_log(run_id, copy.log)
        store.append_events(run_id, copy.events)
        for checkpoint in copy.checkpoints:
            store.add_checkpoint(checkpoint)
    return True
