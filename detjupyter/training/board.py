"""The board: what a session is at this moment, folded from its events.

Views and the store read the board; only the driver writes on it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from detjupyter.protocol.events import ActivityChanged, Event, Failed, Logged, MetricsReported, StateChanged, Validated
from detjupyter.protocol.records import BestRecord, GpuRecord, LogLine, SeriesPatch, SessionRecord
from detjupyter.protocol.states import Activity, Group, State
from detjupyter.store.series import SeriesBoard
from detjupyter.training.channel import LOG_LINES_KEPT
from detjupyter.training.metrics import improves_to, scalars

if TYPE_CHECKING:
    from detjupyter.store.series import Cursor

SPEED_WINDOW_S = 5.0


class Board:
    """A session's present state, bounded curves and last log lines.

    Thread: :meth:`apply`, :meth:`begin_plan` and :meth:`hold_clock` in the driver's thread; the rest anywhere.

    Args:
        record: The session before anything happened.
        metric: The validation metric that ranks runs, None to take the first that comes.
        smaller_is_better: How it ranks, None to judge by its name.
    """

    def __init__(self, record: SessionRecord, *, metric: str | None, smaller_is_better: bool | None) -> None:
        self._lock = threading.Lock()
        self._record = record
        self._metric = metric
        self._smaller_is_better = smaller_is_better
        self._series = SeriesBoard()
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES_KEPT)
        self._lines_written = 0
        self._clock = _Clock()

    def record(self) -> SessionRecord:
        """Return the session as it stands, with its clock read now."""
        with self._lock:
            return self._timed(self._record)

    def patches(self, cursors: dict[tuple[Group, str], Cursor]) -> list[SeriesPatch]:
        """Return what is new in the curves since ``cursors``, and move the cursors."""
        with self._lock:
            return self._series.patches(cursors)

    def log(self, after: int) -> tuple[int, tuple[LogLine, ...]]:
        """Return the number of lines ever written and those after the first ``after`` that are still kept."""
        with self._lock:
            fresh = min(self._lines_written - after, len(self._log))
            return self._lines_written, tuple(islice(self._log, len(self._log) - fresh, None)) if fresh > 0 else ()

    def missing_metric(self, metrics: Mapping[str, Any]) -> str | None:
        """Return the metric that was to rank runs if it is not among ``metrics``."""
        return self._metric if self._metric is not None and self._metric not in metrics else None

    def apply(self, event: Event) -> None:
        """Take ``event`` in."""
        with self._lock:
            match event:
                case MetricsReported():
                    self._take_metrics(event)
                case Validated():
                    self._take_validation(event)
                case StateChanged():
                    self._change_state(event.state)
                case ActivityChanged():
                    self._record = replace(self._record, activity=event.activity, validation_done=event.done, validation_total=event.total)
                    self._clock.forget_speed()
                case Logged():
                    self._log.extend(event.lines)
                    self._lines_written += len(event.lines)
                case Failed():
                    self._record = replace(self._record, error=event.error)
                case _:
                    pass

    def begin_plan(self, start: int, target: int) -> None:
        """Measure progress from ``start`` to ``target`` batches trained from now on."""
        with self._lock:
            self._record = replace(self._record, plan_start_batches=start, plan_target_batches=target)
            self._clock.begin_plan()

    def extend_plan(self, target: int) -> None:
        """Measure progress to another target from now on."""
        self._set(plan_target_batches=target)

    def set_epoch_length(self, batches_per_epoch: int | None) -> None:
        """Show epochs from now on."""
        self._set(batches_per_epoch=batches_per_epoch)

    def move_to(self, batches_trained: int, records_trained: int) -> None:
        """Show where a restored checkpoint stands."""
        self._set(batches_trained=batches_trained, records_trained=records_trained, plan_start_batches=None, plan_target_batches=None)

    def end_plan(self) -> None:
        """Measure no progress any more: a step beside any training is done."""
        self._set(plan_start_batches=None, plan_target_batches=None)

    def end_side_activity(self) -> None:
        """Show again what went on before a validation or a checkpoint was asked for."""
        activity = Activity.TRAINING if self._record.state.is_live else Activity.IDLE
        self._set(activity=activity, validation_done=None, validation_total=None)

    def begin_run(self, run_id: str) -> None:
        """Show which run the session is written into."""
        self._set(run_id=run_id)

    def read_gpu(self, gpu: GpuRecord | None) -> None:
        """Take a reading of the GPU in."""
        if gpu is not self._record.gpu:
            self._set(gpu=gpu)

    def _set(self, **changes: Any) -> None:  # Any: fields of SessionRecord
        with self._lock:
            self._record = replace(self._record, **changes)

    def _take_metrics(self, event: MetricsReported) -> None:
        latest: dict[str, float] = {}
        for name, batches, values in event.points():
            self._series.extend(Group.TRAINING, name, batches.astype(np.float64), values)
            latest[name] = float(values[-1])
        batches_trained = int(event.batches[-1])
        self._clock.tick(batches_trained, event.records_trained)
        self._record = replace(
            self._record,
            batches_trained=batches_trained,
            records_trained=event.records_trained,
            latest={**self._record.latest, Group.TRAINING.value: {**self._record.latest.get(Group.TRAINING.value, {}), **latest}},
        )

    def _take_validation(self, event: Validated) -> None:
        metrics = scalars(event.metrics)
        at = np.array([event.batches_trained], dtype=np.float64)
        for name, value in metrics.items():
            self._series.extend(Group.VALIDATION, name, at, np.array([value]))
        self._record = replace(
            self._record,
            latest={**self._record.latest, Group.VALIDATION.value: metrics},
            best=self._best(metrics, event.batches_trained),
        )

    def _best(self, metrics: Mapping[str, float], batches_trained: int) -> BestRecord | None:
        name = self._metric if self._metric in metrics else next(iter(metrics), None)
        if name is None:
            return self._record.best
        smaller = self._smaller_is_better if self._smaller_is_better is not None else improves_to(name) == "smaller"
        new = BestRecord(name, metrics[name], batches_trained, smaller)
        old = self._record.best
        if math.isnan(new.value):
            return old
        if old is None or old.name != name or (new.value < old.value if smaller else new.value > old.value):
            return new
        return old

    def _change_state(self, state: State) -> None:
        self._record = self._timed(self._record)
        if state is State.RUNNING:
            self._clock.start()
        else:
            self._clock.hold()
        changes: dict[str, Any] = {"state": state}
        if state is State.RUNNING and not self._record.state.is_live:  # what the training before this one left behind
            changes |= {"plan_start_batches": None, "plan_target_batches": None, "error": None}
        if not state.is_live:
            changes |= {"activity": Activity.IDLE, "validation_done": None, "validation_total": None}
        self._record = replace(self._record, **changes)

    def _timed(self, record: SessionRecord) -> SessionRecord:
        batches_per_second, records_per_second = self._clock.speed
        eta_s = None
        if record.state.is_live and record.plan_target_batches is not None and record.plan_start_batches is not None:
            done = record.batches_trained - record.plan_start_batches
            left = record.plan_target_batches - record.batches_trained
            eta_s = self._clock.plan_s() / done * left if done > 0 else None
        return replace(
            record,
            elapsed_s=self._clock.elapsed_s(),
            eta_s=eta_s,
            batches_per_second=batches_per_second,
            records_per_second=records_per_second,
        )


class _Clock:
    """Time spent running: in all, in the present plan, and how fast the last few seconds were."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._plan_began_at = 0.0
        self._running_since: float | None = None
        self._ticks: deque[tuple[float, int, int]] = deque()
        self.speed: tuple[float | None, float | None] = (None, None)
        """Batches and records per second, over the last few seconds."""

    def start(self) -> None:
        if self._running_since is None:
            self._running_since = time.monotonic()
            self.forget_speed()

    def hold(self) -> None:
        self._elapsed = self.elapsed_s()
        self._running_since = None

    def begin_plan(self) -> None:
        self._plan_began_at = self.elapsed_s()
        self._ticks.clear()

    def elapsed_s(self) -> float:
        running = 0.0 if self._running_since is None else time.monotonic() - self._running_since
        return self._elapsed + running

    def plan_s(self) -> float:
        return self.elapsed_s() - self._plan_began_at

    def tick(self, batches_trained: int, records_trained: int) -> None:
        now = time.monotonic()
        self._ticks.append((now, batches_trained, records_trained))
        while len(self._ticks) > 2 and now - self._ticks[0][0] > SPEED_WINDOW_S:
            self._ticks.popleft()
        first = self._ticks[0]
        span = now - first[0]
        if span > 0 and batches_trained > first[1]:
            self.speed = ((batches_trained - first[1]) / span, (records_trained - first[2]) / span)

    def forget_speed(self) -> None:
        """Begin a new window: a pause or a validation lies between."""
        self._ticks.clear()
