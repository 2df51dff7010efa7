"""Deletes runs with the files of their checkpoints. For ten seconds the deletion can be undone.

A deletion first marks the runs, which hides them. What is marked for longer than that is deleted by the process that marked it, and if that
one has ended, by the next process that opens the history. So a process that is killed in between leaves runs that are either there or
marked, and never a run without its files.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.errors import RunNotFoundError, SessionError, StoreError
from detjupyter.protocol.limits import UNDO_S
from detjupyter.store.leftovers import checkpoints_of

if TYPE_CHECKING:
    from detjupyter.store.base import Store

_AT_ONCE = 100
"""How many runs one transaction deletes: others wait for its lock."""

_lock = threading.Lock()
_waiting: set[Path] = set()
"""The histories in which a thread of this process will delete what is marked."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted. :meth:`undo` brings it back within ten seconds.

    Attributes:
        runs: The ids of the runs.
        size_bytes: The size of the files of their checkpoints.
    """

    runs: tuple[str, ...]
    size_bytes: int
    _store: Store | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        runs = "1 run" if len(self.runs) == 1 else f"{len(self.runs):,} runs"
        undo = f"; undo() brings {'it' if len(self.runs) == 1 else 'them'} back for {UNDO_S} seconds" if self.runs else ""
        return f"<Deleted {runs}, with checkpoints of {self.size_bytes / 1e6:,.1f} MB{undo}>"

    def undo(self) -> None:
        """Bring the runs back, with everything that belongs to them.

        Raises:
            StoreError: The ten seconds are over; then no run comes back.
        """
        if self._store is not None:
            undelete_runs(self._store, self.runs)


def delete_runs(store: Store, run_ids: Iterable[str], *, can_be_undone: bool = True) -> Deleted:
    """Delete runs with their curves, logs, events, and the files of their checkpoints: all or none.

    The code of the runs stays: other runs can have the same.

    Args:
        store: The history.
        run_ids: The runs.
        can_be_undone: Whether the runs are only hidden for ten seconds. Without it they are deleted at once.

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
        store.mark_deleted(chosen, time.time() if can_be_undone else 0.0)
    if can_be_undone:
        _purge_later(store)
    else:
        purge(store)
    return Deleted(chosen, size_bytes, store)


def undelete_runs(store: Store, run_ids: Iterable[str]) -> None:
    """Bring runs back that were deleted in the last ten seconds, all or none.

    Raises:
        StoreError: One of them is deleted for good, or there was none of that id.
    """
    try:
        store.undelete(run_ids)
    except RunNotFoundError as error:
        hint = f"A deletion can be undone for {UNDO_S} seconds; then the data and the files are gone."
        raise StoreError(f"The run {error.run_id} cannot be brought back.", hint=hint) from None


def purge(store: Store, *, now: float | None = None) -> None:
    """Delete the runs that have been marked as deleted for ten seconds, and the files of their checkpoints.

    Raises:
        StoreError: The history cannot be written; the runs stay marked.
    """
    marked = iter(store.marked_deleted((time.time() if now is None else now) - UNDO_S))
    while some := list(islice(marked, _AT_ONCE)):
        with store.transaction():  # the lock keeps another process from bringing a run back whose files are being deleted
            still_marked = set(store.marked_deleted(time.time()))
            for run_id in still_marked.intersection(some):
                directory = checkpoints_of(store.home, run_id)
                if directory is not None:
                    shutil.rmtree(directory, ignore_errors=True)
                store.delete_run(run_id)


def _purge_later(store: Store) -> None:
    with _lock:
        if store.home in _waiting:
            return
        _waiting.add(store.home)
    timer = threading.Timer(UNDO_S, _purge_now, [store])
    timer.name, timer.daemon = "detjupyter-deletion", True
    timer.start()


def _purge_now(store: Store) -> None:
    with _lock:
        _waiting.discard(store.home)
    with suppress(StoreError):  # closed, locked or read-only: the next process that opens the history deletes them
        purge(store)
        if store.marked_deleted(time.time()):  # since the thread began to wait
            _purge_later(store)


def size_of(store: Store, run_ids: Iterable[str]) -> int:
    """Return the size of the files of the checkpoints of runs, in bytes.

    Raises:
        RunNotFoundError: There is no run of an id.
    """
    return sum(checkpoint.size_bytes for run_id in run_ids for checkpoint in store.checkpoints(run_id))
