"""The history as people ask for it: runs, and what each one kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.errors import StoreError
from detjupyter.protocol.records import CheckpointRecord, FloatArray, LogLine, RunRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
from detjupyter.store.base import Store


class Run:
    """One run of the history; every attribute is read anew, so that a run under way is seen as it goes.

    Thread: any.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self.id = run_id

    def __repr__(self) -> str:
        record = self.record
        best = f", best {record.best.name} {record.best.value:.4g}" if record.best else ""
        return f"<Run {self.id}: {record.entrypoint}, {record.state.value}, {record.batches_trained:,} batches{best}>"

    @property
    def record(self) -> RunRecord:
        """Everything the history lists about the run."""
        return self._store.run(self.id)

    @property
    def state(self) -> str:
        """Where the run stands; ``interrupted`` if its kernel died."""
        return self.record.state.value

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The values that the trial was built with."""
        return self.record.hyperparameters

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as it was read."""
        return self.record.config

    @property
    def is_live(self) -> bool:
        """Whether a kernel is training it now."""
        return State(self.state).is_live

    def metric_names(self, group: str = "training") -> list[str]:
        """Return the metrics there are in ``group``, ``training`` or ``validation``."""
        wanted = _group(group)
        return [name for member, name in self._store.series_names(self.id) if member is wanted]

    def metrics(self, name: str, group: str = "training") -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return (batches, values), (N,) int64 and (N,) float64: one point per batch, or one per validation."""
        return self._store.series(self.id, _group(group), name)

    def log(self) -> list[LogLine]:
        """Return what the trial printed."""
        return self._store.log(self.id)[1]

    def events(self) -> list[dict[str, Any]]:
        """Return what happened, in order: states, validations, checkpoints, interventions, errors."""
        return self._store.events(self.id)

    def checkpoints(self) -> list[CheckpointRecord]:
        """Return the checkpoints that were written."""
        return self._store.checkpoints(self.id)


def runs(limit: int = 100) -> list[Run]:
    """Return the newest runs of the history, the newest first.

    Raises:
        StoreError: the history cannot be read.
    """
    store = open_store()
    return [Run(store, record.id) for record in store.runs(limit=limit)]


def run(run_id: str) -> Run:
    """Return the run with that id.

    Raises:
        RunNotFoundError: there is none.
    """
    store = open_store()
    return Run(store, store.run(run_id).id)


def _group(name: str) -> Group:
    try:
        return Group(name)
    except ValueError:
        there = " and ".join(group.value for group in Group)
        raise StoreError(f"There is no group of metrics {name!r}.", hint=f"The groups are {there}.") from None
