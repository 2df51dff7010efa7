"""What a store promises, whichever way it keeps it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import BestRecord, CheckpointRecord, FloatArray, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State

BatchArray = npt.NDArray[np.int64]


class Store(ABC):
    """The history of runs.

    **Thread safety.** Every method may be called from any thread, and by several processes at once on the same file. A transaction
    belongs to the thread that opened it. After a fork, parent and child may both go on: they share no connection.

    **Durability.** A write is durable when the transaction around it ends: it survives the death of the process (not necessarily the loss
    of power in the same second). A transaction that an exception leaves has written nothing. Outside of one, every writing method is a
    transaction of its own. Readers never see half a transaction; the thread inside one sees its own writes.

    **Ownership of live runs.** A run belongs to the process named by its ``host`` and ``pid``, and only that process writes to it. A run
    whose state is running or paused while its owner is gone is returned as ``interrupted``, and written so by whoever noticed:
    ``ended_at`` becomes the time of the owner's last write, ``updated_at`` the present, so that watchers hear of it. An owner on another
    host cannot be looked up: it counts as gone after five minutes without a write, so a live run must be updated more often than that,
    paused or not. An owner that was given up too early takes its run back with its next :meth:`update_run`.

    **Curves after a restore.** What is appended is kept. When a later point has a smaller or equal batch (the training went back to a
    checkpoint), :meth:`series` leaves out the earlier points from that batch on: the curve is that of the weights at hand, strictly
    ascending in batches.

    **Values.** Records come back equal to what was written, as far as JSON goes: tuples in free-form fields become lists, NaN and
    infinities in them become their names.

    **Errors.** A run that is not there raises :class:`~detjupyter.errors.RunNotFoundError`; a medium that is corrupt, full, read-only,
    locked for ten seconds or closed raises :class:`~detjupyter.errors.StoreError` from any method.
    """

    @property
    @abstractmethod
    def home(self) -> Path:
        """Return the directory that checkpoints are kept in, those of a run in ``home / "checkpoints" / run_id``."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Make everything inside the block one write: all of it or nothing.

        An inner block is part of the outer one. Keep blocks short: other writers wait.
        """

    @abstractmethod
    def create_run(self, run: RunRecord) -> None:
        """Add ``run``.

        Raises:
            StoreError: a run of that id is already there.
        """

    @abstractmethod
    def update_run(
        self,
        run_id: str,
        *,
        state: State,
        session: SessionRecord | None,
        best: BestRecord | None,
        batches_trained: int,
        ended_at: float | None,
    ) -> None:
        """Write where the run stands; ``updated_at`` becomes the present.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def append_series(self, run_id: str, group: Group, name: str, batches: BatchArray, values: FloatArray) -> None:
        """Add points to the curve ``name``.

        Args:
            run_id: The run.
            group: Whether the points are one per batch or one per validation.
            name: The metric.
            batches: (N,) int64, the number of batches trained when each value was taken.
            values: (N,) float64, NaN and infinities allowed.

        Raises:
            RunNotFoundError: there is no such run.
            ValueError: the two differ in shape, or have more than one dimension.
        """

    @abstractmethod
    def append_event(self, run_id: str, event: Mapping[str, Any]) -> None:  # Any: events are free-form JSON objects
        """Add ``event`` to the run's history.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def append_log(self, run_id: str, lines: Sequence[LogLine]) -> None:
        """Add ``lines`` to the run's log.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def add_checkpoint(self, checkpoint: CheckpointRecord) -> None:
        """Record a checkpoint whose files are complete on disk.

        Raises:
            RunNotFoundError: there is no such run.
            StoreError: a checkpoint of that id is already there.
        """

    @abstractmethod
    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Forget a checkpoint, also one of a live run. Its files are the caller's to delete.

        Raises:
            CheckpointError: there is no such checkpoint.
        """

    @abstractmethod
    def runs(self, *, limit: int = 100, before: str | None = None) -> list[RunRecord]:
        """Return up to ``limit`` runs, those created last first; with ``before``, only runs older than the run of that id.

        Raises:
            RunNotFoundError: there is no run ``before``.
        """

    @abstractmethod
    def runs_updated_since(self, updated_at: float) -> list[RunRecord]:
        """Return the runs whose ``updated_at`` is greater, the earliest first.

        Every live run is checked for its owner on the way, so a watcher that calls this once in a while hears of killed kernels too
        (their death itself changes no :meth:`change_token`).
        """

    @abstractmethod
    def run(self, run_id: str) -> RunRecord:
        """Return one run.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def delete_run(self, run_id: str) -> None:
        """Delete a run with its curves, log, events and checkpoints' records. The files of its checkpoints are the caller's to delete.

        Raises:
            RunNotFoundError: there is no such run.
            StoreError: the run is live.
        """

    @abstractmethod
    def series_names(self, run_id: str) -> list[tuple[Group, str]]:
        """Return the curves that the run has, in the order of their first points.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def series(self, run_id: str, group: Group, name: str) -> tuple[BatchArray, FloatArray]:
        """Return one curve, ``batches`` (N,) int64 strictly ascending and ``values`` (N,) float64; empty if there is no such curve.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def series_since(self, run_id: str, cursor: int) -> tuple[int, list[tuple[Group, str, BatchArray, FloatArray]]]:
        """Return a new cursor and what was appended to the run's curves after ``cursor`` (0: from the start).

        Each curve comes once, its points in the order in which they were written: after a restore they may start below what was read
        before.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def log(self, run_id: str, after: int = 0, *, last: int | None = None) -> tuple[int, list[LogLine]]:
        """Return a new cursor and the log's lines after the cursor ``after`` (0: from the start), or only the ``last`` of them.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Return the run's events in the order in which they were appended.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def checkpoints(self, run_id: str) -> list[CheckpointRecord]:
        """Return the run's checkpoints in the order in which they were added.

        Raises:
            RunNotFoundError: there is no such run.
        """

    @abstractmethod
    def checkpoint(self, checkpoint_id: str) -> CheckpointRecord:
        """Return one checkpoint.

        Raises:
            CheckpointError: there is no such checkpoint.
        """

    @abstractmethod
    def change_token(self) -> int:
        """Return a number that changes whenever any process commits a write; cheap enough to poll."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. Closing twice is harmless; any other method raises StoreError afterwards."""


def as_points(batches: npt.ArrayLike, values: npt.ArrayLike) -> tuple[BatchArray, FloatArray]:
    """Return the two as little-endian arrays (N,) of their own, so that what the caller does with his buffers later changes nothing.

    Raises:
        ValueError: the two differ in shape, or have more than one dimension.
    """
    own_batches, own_values = np.array(batches, dtype="<i8"), np.array(values, dtype="<f8")
    if own_batches.ndim != 1 or own_batches.shape != own_values.shape:
        raise ValueError(f"batches {own_batches.shape} and values {own_values.shape} must be of one shape (N,)")
    return own_batches, own_values
