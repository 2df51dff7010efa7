"""Deletes runs with the files of their checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detjupyter.errors import SessionError
from detjupyter.store.leftovers import checkpoints_of

if TYPE_CHECKING:
    from detjupyter.store.base import Store


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted.

    Attributes:
        runs: The ids of the runs.
        size_bytes: The size of the files of their checkpoints.
    """

    runs: tuple[str, ...]
    size_bytes: int

    def __repr__(self) -> str:
        runs = "1 run" if len(self.runs) == 1 else f"{len(self.runs):,} runs"
        return f"<Deleted {runs}, with checkpoints of {self.size_bytes / 1e6:,.1f} MB>"


def delete_runs(store: Store, run_ids: Iterable[str]) -> Deleted:
    """Delete runs with their curves, logs, events, and the files of their checkpoints: all or none.

    The code of the runs stays: other runs can have the same.

    Raises:
        RunNotFoundError: There is no run of an id; then none is deleted.
        SessionError: A run is running or paused; then none is deleted.
    """
    chosen = tuple(dict.fromkeys(run_ids))
    with store.transaction():  # so that a failure, or a run that starts now, leaves all of them
        for run_id in chosen:
            state = store.run(run_id).state
            if state.is_live:
                raise SessionError(f"The run {run_id} is {state.value}: it cannot be deleted.", state=state.value, hint="Stop it first.")
        size_bytes = size_of(store, chosen)
        for run_id in chosen:
            store.delete_run(run_id)
    for run_id in chosen:
        directory = checkpoints_of(store.home, run_id)
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
    return Deleted(chosen, size_bytes)


def size_of(store: Store, run_ids: Iterable[str]) -> int:
    """Return the size of the files of the checkpoints of runs, in bytes.

    Raises:
        RunNotFoundError: There is no run of an id.
    """
    return sum(checkpoint.size_bytes for run_id in run_ids for checkpoint in store.checkpoints(run_id))
