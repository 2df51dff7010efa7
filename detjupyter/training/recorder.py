"""Write a session down: its events become rows of the store, a few times a second and at every turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.errors import DetJupyterError, RunNotFoundError, StoreError
from detjupyter.protocol.events import ActivityChanged, Checkpointed, Event, Logged, MetricsReported, Validated
from detjupyter.protocol.records import FloatArray, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group
from detjupyter.protocol.wire import encode
from detjupyter.store.base import Store
from detjupyter.training.metrics import scalars

FLUSH_INTERVAL_S = 0.5
"""A kernel that is killed loses at most this much (and what has not been reported yet)."""

Points = tuple[npt.NDArray[np.int64], FloatArray]


class Recorder:
    """Keep a run's rows in step with its session.

    A store that fails (a full disk, a lock that is never given) does not touch the training: what could not be written is kept and
    tried again, and the session's log says so once.

    Thread: :meth:`add` in the driver's thread, :meth:`flush` in any.
    """

    def __init__(self, record: Callable[[], SessionRecord], say: Callable[[str], None]) -> None:
        self.store: Store | None = None
        self.run_id: str | None = None
        self._record = record
        self._say = say
        self._writing = threading.Lock()
        self._pending = threading.Lock()
        self._series: dict[tuple[Group, str], list[Points]] = {}
        self._log: list[LogLine] = []
        self._events: list[dict[str, Any]] = []
        self._checkpoints: list[Checkpointed] = []
        self._next_flush = 0.0
        self._complained = False

    def has_run(self) -> bool:
        """Return whether there is a run to write to; somebody may have deleted it from the history."""
        if self.store is None or self.run_id is None:
            return False
        try:
            self.store.run(self.run_id)
        except RunNotFoundError:
            return False
        except StoreError:  # it cannot be read now, which says nothing of the run
            return True
        return True

    def begin(self, store: Store, run: RunRecord) -> None:
        """Create the run's row in ``store``; everything added so far and from now on belongs to it."""
        store.create_run(run)
        self.store, self.run_id = store, run.id

    def add(self, event: Event) -> None:
        """Take ``event`` in; it is written at the next flush."""
        with self._pending:
            self._add(event)

    def _add(self, event: Event) -> None:
        match event:
            case MetricsReported():
                for name, batches, values in event.points():
                    self._series.setdefault((Group.TRAINING, name), []).append((batches, values))
            case Validated():
                at = np.array([event.batches_trained], dtype=np.int64)
                for name, value in scalars(event.metrics).items():
                    self._series.setdefault((Group.VALIDATION, name), []).append((at, np.array([value])))
                self._events.append({"at": time.time(), **encode(event)})
            case Logged():
                self._log.extend(event.lines)
            case Checkpointed():
                self._checkpoints.append(event)
                self._events.append({"at": time.time(), **encode(event)})
            case ActivityChanged():
                pass
            case _:
                self._events.append({"at": time.time(), **encode(event)})

    def flush_if_due(self) -> None:
        """Flush, unless the last flush was a moment ago."""
        if time.monotonic() >= self._next_flush:
            self.flush()

    def flush(self) -> None:
        """Write everything added so far, and the session as it stands, in one transaction."""
        with self._writing:
            self._next_flush = time.monotonic() + FLUSH_INTERVAL_S
            if self.store is None or self.run_id is None:
                return
            try:
                self._write(self.store, self.run_id)
            except Exception as error:  # an edge: whatever a store raises, it is not worth a training
                if not self._complained:
                    self._complained = True
                    self._say(f"The history cannot be written, training goes on: {_text(error)}")
                return
            if self._complained:
                self._complained = False
                self._say("The history is written again; nothing is missing from it.")

    def _write(self, store: Store, run_id: str) -> None:
        with self._pending:
            series, self._series = self._series, {}
            log, self._log = self._log, []
            events, self._events = self._events, []
            checkpoints, self._checkpoints = self._checkpoints, []
        session = self._record()
        try:
            with store.transaction():
                for (group, name), points in series.items():
                    batches = np.concatenate([part for part, _ in points])
                    store.append_series(run_id, group, name, batches, np.concatenate([part for _, part in points]))
                if log:
                    store.append_log(run_id, log)
                for event in events:
                    store.append_event(run_id, event)
                for saved in checkpoints:
                    store.add_checkpoint(saved.checkpoint)
                store.update_run(
                    run_id,
                    state=session.state,
                    session=session,
                    best=session.best,
                    batches_trained=session.batches_trained,
                    ended_at=None if session.state.is_live else time.time(),
                )
        except BaseException:
            with self._pending:  # give back what was not written, before what came in meanwhile
                for key, points in self._series.items():
                    series.setdefault(key, []).extend(points)
                self._series = series
                self._log[:0], self._events[:0], self._checkpoints[:0] = log, events, checkpoints
            raise


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, DetJupyterError) else f"{type(error).__name__}: {error}"
