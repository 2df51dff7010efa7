"""The history as people ask for it: runs, and what each one kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detjupyter.errors import StoreError
from detjupyter.protocol.records import CheckpointRecord, FloatArray, LogLine, RunRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
from detjupyter.store.base import Store
from detjupyter.store.code import Code, CodeStore
from detjupyter.store.code_diff import CodeDiff, diff_settings

CODE_EVENT = "code"
"""The kind of the event that a session appends when edited code takes over: ``at``, ``batches_trained``, ``bundle_hash``."""


class CodeVersion(NamedTuple):
    """From which batch on a run was trained with which code."""

    batches_trained: int
    at: float
    bundle_hash: str


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

    @property
    def code(self) -> Code:
        """The files that the run was begun with: a mapping of paths to contents, which can be written and compared.

        Raises:
            StoreError: they were not kept, or are damaged.
        """
        return self._code(self.record.bundle_hash)

    @property
    def code_versions(self) -> list[CodeVersion]:
        """The versions of the code, the first with the run's beginning, each other with the reload that brought it."""
        record = self.record
        versions = [CodeVersion(0, record.created_at, record.bundle_hash)]
        versions += [
            CodeVersion(int(event["batches_trained"]), float(event["at"]), str(event["bundle_hash"]))
            for event in self.events()
            if event.get("kind") == CODE_EVENT
        ]
        return versions

    def code_after(self, batches_trained: int) -> Code:
        """Return the files that the run was trained with when that many batches were behind it.

        Raises:
            StoreError: they were not kept, or are damaged.
        """
        reached = [version for version in self.code_versions if version.batches_trained <= batches_trained]
        return self._code(reached[-1].bundle_hash)

    def diff(self, other: Run) -> CodeDiff:
        """Return what differs from this run to ``other``: code, hyperparameters, configuration, seed, device.

        The code is that of the runs' beginnings. A note says so where it was not kept, or where a reload changed it.

        Raises:
            RunNotFoundError: one of the two was deleted.
        """
        before, after = self.record, other.record
        settings = diff_settings(_settings(before), _settings(after))
        told = {change.name for change in settings}
        # A value that stands in the YAML and reached the trial differs twice; once is enough.
        settings = tuple(one for one in settings if one.name.removeprefix("config.") not in told - {one.name})
        notes = tuple(run._reload_note() for run in (self, other) if len(run.code_versions) > 1)
        if before.bundle_hash == after.bundle_hash:
            return CodeDiff(settings=settings, notes=notes)
        try:
            return replace(self.code.diff(other.code), settings=settings, notes=notes)
        except StoreError as error:
            return CodeDiff(settings=settings, notes=(*notes, f"The code of the two differs, but cannot be compared. {error}"))

    def _reload_note(self) -> str:
        later = self.code_versions[1:]
        batches = ", ".join(f"{version.batches_trained:,}" for version in later)
        return f"{self.id} went on with edited code after batch {batches}; compared is the code that it began with."

    def _code(self, bundle_hash: str) -> Code:
        return CodeStore(self._store.home).code(bundle_hash)


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


def _settings(record: RunRecord) -> dict[str, Any]:
    """Return what a run was made with, besides its code."""
    values = {name: getattr(record, name) for name in ("entrypoint", "seed", "device")}
    return {**values, "hyperparameters": record.hyperparameters, "config": record.config}


def _group(name: str) -> Group:
    try:
        return Group(name)
    except ValueError:
        there = " and ".join(group.value for group in Group)
        raise StoreError(f"There is no group of metrics {name!r}.", hint=f"The groups are {there}.") from None
