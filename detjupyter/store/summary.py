"""Runs as lists, conditions and tables need them: without their configuration, code and errors, so that 20,000 are read in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from detjupyter.protocol.records import BestRecord, RunRecord
from detjupyter.protocol.states import State


class RunSummary(NamedTuple):
    """The part of a :class:`~detjupyter.protocol.records.RunRecord` that is compared with that of other runs; the fields have its names.

    ``latest`` has the newest value of each metric by group. ``elapsed_s`` is how long the session has trained; it is None for a run
    without a record of its session.
    """

    id: str
    state: State
    entrypoint: str
    definition: str
    definition_root: str
    device: str
    seed: int
    bundle_hash: str
    kernel_id: str | None
    created_at: float
    updated_at: float
    ended_at: float | None
    batches_trained: int
    hyperparameters: Mapping[str, Any]  # Any: any value that YAML can hold
    best: BestRecord | None
    latest: Mapping[str, Mapping[str, float]]
    elapsed_s: float | None
    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool
    archived: bool
    notebook: str | None

    @property
    def seconds(self) -> float:
        """How long the run trained, in seconds; without a record of its session, the time from its start to its last write."""
        return self.elapsed_s if self.elapsed_s is not None else (self.ended_at or self.updated_at) - self.created_at


def summary_of(run: RunRecord) -> RunSummary:
    """Return the summary of a record."""
    session = run.session
    return RunSummary(
        id=run.id,
        state=run.state,
        entrypoint=run.entrypoint,
        definition=run.definition,
        definition_root=run.definition_root,
        device=run.device,
        seed=run.seed,
        bundle_hash=run.bundle_hash,
        kernel_id=run.kernel_id,
        created_at=run.created_at,
        updated_at=run.updated_at,
        ended_at=run.ended_at,
        batches_trained=run.batches_trained,
        hyperparameters=run.hyperparameters,
        best=run.best,
        latest={} if session is None else session.latest,
        elapsed_s=None if session is None else session.elapsed_s,
        name=run.name,
        note=run.note,
        tags=run.tags,
        starred=run.starred,
        archived=run.archived,
        notebook=run.notebook,
    )
