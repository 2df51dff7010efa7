"""The contract of a store, for all implementations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detjupyter.errors import CheckpointError
from detjupyter.protocol.records import BestRecord, CheckpointRecord, FloatArray, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store.annotation import Annotation
from detjupyter.store.summary import RunSummary

BatchArray = npt.NDArray[np.int64]


class SeriesPoints(NamedTuple):
    """Points of one curve, to be appended.

    Attributes:
        group: Whether the points are one per batch or one per validation.
        name: The metric.
        batches: (N,) int64, the number of batches trained at each value.
        values: (N,) float64, NaN and infinities allowed.
    """

    group: Group
    name: str
    batches: BatchArray
    values: FloatArray


class RunCounts(NamedTuple):
    """The numbers of points, log lines and events of a run; points that were replaced after a restore count too."""

    points: int
    log_lines: int
    events: int


class Store(ABC):
    """The history of runs.

    **Thread safety.** Every method may be called from any thread, and by several processes at once on the same file. A transaction
    belongs to the thread that opened it. After a fork, parent and child may both use the store: they share no connection.

    **Durability.** A write is durable when its transaction ends: it survives the death of the process (not necessarily a loss of power in
    the same second). A transaction that ends with an exception writes nothing. Outside of a transaction, every writing method has its own.
    Readers never see half a transaction; the thread inside a transaction sees its own writes.

    **Ownership of live runs.** A run belongs to the process named by its ``host`` and ``pid``, and only that process writes to it,
    apart from :meth:`annotate_runs`. A run that is running or paused although its owner has ended is returned as ``interrupted``, and
    the process that notices this records it: ``ended_at`` becomes the time of the owner's last write, ``updated_at`` the current time,
    so that watchers see the change. A process on another host, or in another container, cannot be checked: it counts as ended after
    five minutes without a write, so a live run must be updated more often than that, even while it is paused. An owner that was
    declared dead too early reclaims its run with its next :meth:`update_run`.

    **Curves after a restore.** Appended points are never deleted. When a later point has a smaller or equal batch (the trial was restored
    from a checkpoint), :meth:`series` omits the earlier points from that batch on: the curve belongs to the current weights and is strictly
    ascending in batches. In place of the batch of a point, the restore itself appends :func:`detjupyter.store.series.cut_mark`, from which
    the curve ends at the restored batch at once; :meth:`series_since` returns these marks, too.

    **Values.** Records are read back equal to those written, within the limits of JSON: tuples in free-form fields become lists, NaN and
    infinities in them become their names.

    **Errors.** A missing run raises :class:`~detjupyter.errors.RunNotFoundError`; a medium that is corrupt, full, read-only, locked for ten
    seconds or closed raises :class:`~detjupyter.errors.StoreError` from any method; the lock of another process raises its subclass
    :class:`~detjupyter.errors.StoreBusyError`.

    **Deleted, moved or replaced files.** If this happens to the file of an open store, later writes are lost. :meth:`follow` detects it.
    """

    @property
    @abstractmethod
    def home(self) -> Path:
        """Return the directory of the history; the checkpoints of a run are in ``home / "checkpoints" / run_id``."""

    @abstractmethod
    def transaction(self, *, wait_s: float | None = None) -> AbstractContextManager[None]:
        """Make all writes in the block atomic.

        An inner block is part of the outer one. Keep blocks short: other writers wait.

        Args:
            wait_s: How long to wait for the lock of another process, in seconds; ten by default.

        Raises:
            StoreBusyError: Another process held the lock for longer.
        """

    @abstractmethod
    def create_run(self, run: RunRecord) -> None:
        """Add ``run``.

        Raises:
            StoreError: A run with that id already exists.
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
        """Update the run's state; ``updated_at`` becomes the current time.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def annotate_runs(self, run_ids: Iterable[str], annotation: Annotation) -> None:
        """Change what the user has added to runs, of all or of none; any process may, also while another one trains them.

        ``updated_at`` stays: a note does not make a run look recently trained. Watchers see the change anyway, see
        :meth:`runs_updated_since`.

        Raises:
            RunNotFoundError: There is no run of an id.
            ArgumentError: A run would have too many tags.
        """

    @abstractmethod
    def append_points(self, run_id: str, curves: Sequence[SeriesPoints]) -> None:
        """Add points to many curves in one statement: a thousand metrics cost little more than their values.

        New curves are added in the order of ``curves``; curves without points are ignored.

        Raises:
            RunNotFoundError: There is no such run.
            ValueError: Batches and values of a curve differ in shape, or have more than one dimension; nothing is written.
        """

    def append_series(self, run_id: str, group: Group, name: str, batches: BatchArray, values: FloatArray) -> None:
        """Add points to the curve ``name``; see :meth:`append_points`."""
        self.append_points(run_id, [SeriesPoints(group, name, batches, values)])

    @abstractmethod
    def append_events(self, run_id: str, events: Sequence[Mapping[str, Any]]) -> None:  # Any: events are free-form JSON objects
        """Add ``events`` to the run's history.

        Raises:
            RunNotFoundError: There is no such run.
        """

    def append_event(self, run_id: str, event: Mapping[str, Any]) -> None:
        """Add ``event`` to the run's history; see :meth:`append_events`."""
        self.append_events(run_id, [event])

    @abstractmethod
    def append_log(self, run_id: str, lines: Sequence[LogLine]) -> None:
        """Add ``lines`` to the run's log.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def add_checkpoint(self, checkpoint: CheckpointRecord) -> None:
        """Record a checkpoint whose files are complete on disk.

        Raises:
            RunNotFoundError: There is no such run.
            StoreError: A checkpoint with that id already exists.
        """

    @abstractmethod
    def delete_checkpoint(self, checkpoint_id: str) -> None:
        """Delete the record of a checkpoint, also of a live run. The caller deletes its files.

        Raises:
            CheckpointError: There is no such checkpoint.
        """

    @abstractmethod
    def runs(self, *, limit: int = 100, before: str | None = None, include_archived: bool = True) -> list[RunRecord]:
        """Return up to ``limit`` runs, newest first; with ``before``, only runs older than the run with that id.

        Archived runs are among them if ``include_archived``.

        Raises:
            RunNotFoundError: There is no run ``before``.
        """

    @abstractmethod
    def run_states(
        self,
        *,
        limit: int | None = 100,
        before: str | None = None,
        state: State | None = None,
        entrypoint: str | None = None,
        include_archived: bool = True,
    ) -> dict[str, State]:
        """Return the ids of runs, newest first, with their states; their records are not read, so that 20,000 take less than 0.1 s.

        Args:
            limit: How many, None for all.
            before: Only runs older than the run with that id.
            state: Only runs in that state. The owner of every live run is checked first.
            entrypoint: Only runs of that entrypoint.
            include_archived: Whether archived runs are among them.

        Raises:
            RunNotFoundError: There is no run ``before``.
        """

    @abstractmethod
    def summaries(
        self, *, limit: int | None = None, before: str | None = None, entrypoint: str | None = None, updated_since: float | None = None
    ) -> list[RunSummary]:
        """Return summaries of runs, newest first; 20,000 take about 0.4 s, a tenth of their records. Unreadable runs are left out.

        Args:
            limit: How many, None for all.
            before: Only runs older than the run with that id.
            entrypoint: Only runs of that entrypoint.
            updated_since: Only runs with a greater ``updated_at``, and those that were annotated since.

        Raises:
            RunNotFoundError: There is no run ``before``.
        """

    @abstractmethod
    def summaries_of(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """Return the summaries of the runs with these ids, in their order; missing and unreadable ones are left out."""

    @abstractmethod
    def runs_updated_since(self, updated_at: float) -> list[RunRecord]:
        """Return the runs with a greater ``updated_at``, earliest first, and among them those that were annotated since.

        The owner of every live run is checked, so that a watcher that calls this regularly also finds killed kernels, whose death does not
        change the :meth:`change_token`.
        """

    @abstractmethod
    def run(self, run_id: str) -> RunRecord:
        """Return one run.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def delete_run(self, run_id: str) -> None:
        """Delete a run with its curves, log, events and records of checkpoints. The caller deletes the files of its checkpoints.

        The run can be :meth:`mark_deleted`.

        Raises:
            RunNotFoundError: There is no such run.
            StoreError: The run is live.
        """

    @abstractmethod
    def mark_deleted(self, run_ids: Iterable[str], at: float) -> None:
        """Hide runs, all or none: until :meth:`undelete` all other methods behave as if they had been deleted; their data stay.

        Args:
            run_ids: The runs; the caller has checked that none is live.
            at: The time of the deletion, for :meth:`marked_deleted`.

        Raises:
            RunNotFoundError: There is no run of an id, or it is marked already.
        """

    @abstractmethod
    def undelete(self, run_ids: Iterable[str]) -> None:
        """Undo :meth:`mark_deleted`, for all runs or none; a run that is not marked stays as it is.

        Raises:
            RunNotFoundError: There is no run of an id.
        """

    @abstractmethod
    def marked_deleted(self, until: float) -> list[str]:
        """Return the ids of the runs that were marked as deleted, up to that time."""

    @abstractmethod
    def series_names(self, run_id: str) -> list[tuple[Group, str]]:
        """Return the curves of the run, in the order of their first points.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def series(self, run_id: str, group: Group, name: str) -> tuple[BatchArray, FloatArray]:
        """Return one curve, ``batches`` (N,) int64 strictly ascending and ``values`` (N,) float64; empty if there is no such curve.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def series_since(self, run_id: str, cursor: int) -> tuple[int, list[tuple[Group, str, BatchArray, FloatArray]]]:
        """Return a new cursor and the points appended to the run's curves after ``cursor`` (0: from the start).

        Each curve appears once, with its points in the order in which they were written: after a restore they may start at an earlier batch
        than the points read before.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def log(self, run_id: str, after: int = 0, *, last: int | None = None) -> tuple[int, list[LogLine]]:
        """Return a new cursor and the log's lines after the cursor ``after`` (0: from the start), or only the ``last`` of them.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Return the run's events in the order in which they were appended.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def counts(self, run_id: str) -> RunCounts:
        """Return the counts of the run; this reads every row.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def checkpoints(self, run_id: str) -> list[CheckpointRecord]:
        """Return the run's checkpoints in the order in which they were added.

        Raises:
            RunNotFoundError: There is no such run.
        """

    @abstractmethod
    def checkpoint(self, checkpoint_id: str) -> CheckpointRecord:
        """Return one checkpoint.

        Raises:
            CheckpointError: There is no such checkpoint.
        """

    @abstractmethod
    def change_token(self) -> int:
        """Return a number that changes whenever any process commits a write; cheap enough to poll.

        If the file was deleted, moved or replaced, the store uses the new file at its path from then on, and the number changes.
        """

    def follow(self) -> Store | None:
        """Switch to the current file at the path, if the opened file was deleted, moved or replaced.

        Returns:
            A store on the old file, as long as it is still readable, to copy data that would be lost (see
            :mod:`detjupyter.store.rescue`); the caller closes it. None if the file is unchanged.

        Raises:
            StoreError: The file at the path cannot be created or opened; the store keeps the old file.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Release all resources. Closing twice is harmless; any other method raises StoreError afterwards."""


def no_checkpoint(checkpoint_id: str) -> CheckpointError:
    """Return the error for a checkpoint that is not in the history."""
    hint = "`dj.run(id).checkpoints()` lists the checkpoints of a run."
    return CheckpointError(f"No checkpoint has the id {checkpoint_id!r}.", hint=hint)


def as_points(batches: npt.ArrayLike, values: npt.ArrayLike) -> tuple[BatchArray, FloatArray]:
    """Copy the two to little-endian arrays (N,), so that the caller can reuse its buffers.

    Raises:
        ValueError: The two differ in shape, or have more than one dimension.
    """
    own_batches, own_values = np.array(batches, dtype="<i8"), np.array(values, dtype="<f8")
    if own_batches.ndim != 1 or own_batches.shape != own_values.shape:
        raise ValueError(f"batches {own_batches.shape} and values {own_values.shape} must have the same shape (N,)")
    return own_batches, own_values
