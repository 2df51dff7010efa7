"""Write the run of a session: its row and its events, and everything again if the history is deleted or moved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detjupyter.errors import RunNotFoundError, StoreBusyError, StoreError
from detjupyter.protocol.events import Event
from detjupyter.protocol.records import CheckpointRecord, RunRecord, SeriesPatch, SessionRecord
from detjupyter.protocol.states import State
from detjupyter.session.unwritten import Unwritten
from detjupyter.store.base import RunCounts, SeriesPoints, Store
from detjupyter.store.memory import MemoryStore
from detjupyter.store.rescue import RunCopy, read_run, write_run

LOCK_WAIT_S = 1.0
"""How long an attempt waits for the lock of another process."""
LATEST_LIMIT = 200
"""For at most this many metrics of each group, the newest value is written with every flush."""

Resupply = Callable[[], Iterable[SeriesPoints]]


@dataclass(slots=True)
class Beginning:
    """A run to create in the store that ``open_store`` opens; ``then`` is called with that store."""

    open_store: Callable[[], Store]
    run: RunRecord
    then: Callable[[Store], object] | None
    store: Store | None = None


class RunWriter:
    """The part of a recorder that writes to the store.

    Args:
        record: Returns the current state of the session.
        say: Adds a sentence to the session's log.
        resupply: Returns the curves in memory, used if a deleted history can no longer be read.
        after_move: Called with the store after the run was saved again in a new file.

    Thread: the recorder's; ``store``, ``run_id`` and ``deleted_id`` may be read in any thread.

    Attributes:
        unwritten: The events to write next.
        deleted_id: The last run that was deleted from the history.
    """

    def __init__(
        self, record: Callable[[], SessionRecord], say: Callable[[str], None], resupply: Resupply, after_move: Callable[[Store], object]
    ) -> None:
        self.store: Store | None = None
        self.unwritten = Unwritten()
        self.deleted_id: str | None = None
        self._record = record
        self._say = say
        self._resupply = resupply
        self._after_move = after_move
        self._run: RunRecord | None = None  # the initial record; None while the store has no row of it
        self._written = RunCounts(0, 0, 0)
        self._checkpoints: dict[str, CheckpointRecord] = {}
        self._left: Store | None = None
        self._ended: tuple[State, float] | None = None

    @property
    def has_row(self) -> bool:
        """Return whether the store has the run."""
        return self._run is not None

    @property
    def run_id(self) -> str | None:
        """Return the id of the run in the store; None while the store has no row of it."""
        run = self._run
        return None if run is None else run.id

    def begin(self, beginning: Beginning) -> None:
        """Create the run; a history that cannot be opened or written is replaced by one in memory.

        Raises:
            StoreBusyError: Another process holds the lock of the history; try again later.
        """
        if beginning.store is None:  # a later attempt keeps the store that an earlier one opened
            beginning.store = self._open(beginning)
        self.store = beginning.store
        try:
            with self.store.transaction(wait_s=LOCK_WAIT_S):
                self.store.create_run(beginning.run)
        except StoreBusyError:
            raise
        except StoreError as error:
            self.store = beginning.store = self._open_in_memory(error)
            self.store.create_run(beginning.run)
        self._run = beginning.run
        self._written, self._checkpoints, self._ended = RunCounts(0, 0, 0), {}, None

    def take(self, event: Event, at: float) -> None:
        """Add ``event``, reported at ``at``. After the run was deleted, events are ignored until a new run begins."""
        if self._run is not None or self.deleted_id is None:
            self.unwritten.take(event, at)

    def flush(self) -> None:
        """Write the unwritten events and the current state of the session in one transaction.

        Raises:
            StoreError: They cannot be written; they remain unwritten.
        """
        if self.store is None or self._run is None:
            return
        try:
            self._follow(self.store, self._run)
            self._write(self.store, self._run.id)
        except RunNotFoundError:
            if self._record().state.is_live:
                self._say("The run was deleted from the history: later metrics and output are not saved.")
            self.deleted_id = self._run.id
            self._run = None
            self.unwritten.forget_run()

    def count_missing(self) -> str:
        """Describe the reported data that is missing from the store.

        Raises:
            StoreError: The store cannot be read.
        """
        if self.store is None or self._run is None:
            return ""
        there = self.store.counts(self._run.id)
        written = self._written._replace(log_lines=self._written.log_lines + self.unwritten.dropped_lines)
        self._written, self.unwritten.dropped_lines = there, 0  # from here on, so that a loss is described once
        return _missing(written, there)

    def _open(self, beginning: Beginning) -> Store:
        try:
            return beginning.open_store()
        except StoreBusyError:
            raise
        except StoreError as error:
            return self._open_in_memory(error)

    def _open_in_memory(self, error: StoreError) -> Store:
        self._say(f"The history is not saved: {error}")
        return MemoryStore()

    def _write(self, store: Store, run_id: str) -> None:
        session = self._record()
        with store.transaction(wait_s=LOCK_WAIT_S):
            self.unwritten.write(store, run_id)
            store.update_run(
                run_id,
                state=session.state,
                session=_bounded(session),
                best=session.best,
                batches_trained=session.batches_trained,
                ended_at=self._ended_at(session.state),
            )
        self._written = RunCounts(*map(sum, zip(self._written, self.unwritten.counts(), strict=True)))
        self._checkpoints.update((one.id, one) for one in self.unwritten.checkpoints)
        self.unwritten.clear()

    def _ended_at(self, state: State) -> float | None:
        """Return when the run entered ``state``, None if the state does not end the run."""
        if state.is_live:
            self._ended = None
            return None
        if self._ended is None or self._ended[0] is not state:
            self._ended = state, time.time()
        return self._ended[1]

    def _follow(self, store: Store, run: RunRecord) -> None:
        """Save the run again in a new file if the history file was deleted, moved or replaced."""
        if self._left is None:
            self._left = store.follow()  # only the first call returns the old file; a failed attempt leaves it here
        if self._left is None:
            return
        try:
            copy = read_run(self._left, run.id)
        except RunNotFoundError:
            raise
        except StoreError:  # the file was overwritten, or the system does not allow reading deleted files
            copy = self._copy_from_memory(run)
        with store.transaction(wait_s=LOCK_WAIT_S):
            is_saved_again = write_run(store, copy)
        self._left.close()
        self._left = None
        missing = self.count_missing()
        if is_saved_again or missing:
            lost = f"missing from it: {missing}" if missing else "no data was lost"
            self._say(f"The history file was deleted, moved or replaced. The run is saved in a new file; {lost}.")
            self._after_move(store)

    def _copy_from_memory(self, run: RunRecord) -> RunCopy:
        session = self._record()
        now = replace(run, state=session.state, batches_trained=session.batches_trained, best=session.best, session=_bounded(session))
        checkpoints = [one for one in self._checkpoints.values() if Path(one.path).exists()]
        return RunCopy(now, list(self._resupply()), checkpoints=checkpoints)


def to_points(patches: Iterable[SeriesPatch]) -> list[SeriesPoints]:
    """Convert the curves of a live state into the form of a store, for the ``resupply`` of a recorder."""
    return [SeriesPoints(patch.group, patch.name, patch.batches.astype(np.int64), patch.values) for patch in patches]


def _bounded(session: SessionRecord) -> SessionRecord:
    """Return ``session`` with the newest values of at most ``LATEST_LIMIT`` metrics per group: it is written with every flush."""
    if all(len(values) <= LATEST_LIMIT for values in session.latest.values()):
        return session
    latest = {group: dict(list(values.items())[:LATEST_LIMIT]) for group, values in session.latest.items()}
    if session.best is not None:
        for group, values in session.latest.items():
            if session.best.name in values:
                latest[group][session.best.name] = values[session.best.name]
    return replace(session, latest=latest)


def _missing(written: RunCounts, there: RunCounts) -> str:
    words = ("metric value", "log line", "event")
    numbers = [max(before - now, 0) for before, now in zip(written, there, strict=True)]
    return ", ".join(f"{number:,} {word}{'' if number == 1 else 's'}" for number, word in zip(numbers, words, strict=True) if number)
