"""The live state of a session, which views show, folded from the engine's events."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from detjupyter.engine.loaded import changed_hyperparameters
from detjupyter.framework.metrics import scalars
from detjupyter.next_step import worded
from detjupyter.protocol.allowed import allowed
from detjupyter.protocol.commands import AtBatch
from detjupyter.protocol.events import (
    ActivityChanged,
    BestChanged,
    Checkpointed,
    Closed,
    CommandAnswered,
    Event,
    Failed,
    GpuRead,
    Loaded,
    Logged,
    MetricsReported,
    Moved,
    PlanChanged,
    RunBegan,
    SlowedChanged,
    StateChanged,
    Stuck,
    Until,
    Validated,
    Warned,
    activity_after,
)
from detjupyter.protocol.recipe import LoadedRecord
from detjupyter.protocol.records import HyperparameterChange, LogLine, RunParent, SavedRecord, SeriesPatch, SessionRecord
from detjupyter.protocol.situation import Situation
from detjupyter.protocol.states import Group, State
from detjupyter.session.channel import LOG_LINES_KEPT
from detjupyter.session.run_curves import RunCurves

if TYPE_CHECKING:
    from detjupyter.store.series import Cursor, SessionCurves

SPEED_WINDOW_S = 5.0
MOST_WARNINGS = 5
"""The record of a session contains the first ones, and the number of the others."""


class LiveState:
    """A session's current state, bounded curves and last log lines. Only :meth:`apply` changes it.

    Args:
        record: The initial state of the session.
        commands: The kinds of command that this session supports; None for all.

    Thread: any.
    """

    def __init__(self, record: SessionRecord, *, commands: tuple[str, ...] | None = None) -> None:
        self._commands = commands
        self._lock = threading.RLock()  # reentrant: a finalizer of the user may call a method while its thread holds the lock
        self._record = record
        self._can_reload = True
        self._loaded: LoadedRecord | None = None
        self._is_closed = False
        self._saved_at = 0  # the batches trained of the state that is saved
        self._curves = RunCurves()
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES_KEPT)
        self._lines_written = 0
        self._clock = _Clock()
        self._warnings: list[Warned] = []

    def record(self) -> SessionRecord:
        """Return the current state of the session."""
        with self._lock:
            offered = allowed(self._situation())
            known = self._commands
            slowed = self._record.slowed and self._record.state.is_live  # a session that has ended is not slowed
            mine = replace(self._timed(self._record), slowed=slowed)
            return replace(mine, allowed=offered if known is None else tuple(one for one in offered if one in known))

    def situation(self) -> Situation:
        """Return the situation, which decides the commands that the session accepts."""
        with self._lock:
            return self._situation()

    def patches(self, cursors: dict[tuple[Group, str], Cursor]) -> list[SeriesPatch]:
        """Return the new points of the curves since ``cursors``, and advance the cursors."""
        with self._lock:
            return self._curves.patches(cursors)

    def own_patches(self) -> list[SeriesPatch]:
        """Return the curves without the points of the run that this one continues."""
        with self._lock:
            return self._curves.own()

    def missing_parent(self) -> RunParent | None:
        """Return the run that this one continues, until its curves are shown."""
        with self._lock:
            return self._curves.missing

    def inherit(self, parent: RunParent, curves: SessionCurves) -> None:
        """Show the curves of ``parent`` before those of this run, unless it continues another run by now."""
        with self._lock:
            self._curves.inherit(parent, curves)
            self._set(latest=self._curves.newest())

    def log(self, after: int) -> tuple[int, tuple[LogLine, ...]]:
        """Return the total number of log lines, and the lines after the first ``after`` that are still in memory."""
        with self._lock:
            fresh = min(self._lines_written - after, len(self._log))
            return self._lines_written, tuple(islice(self._log, len(self._log) - fresh, None)) if fresh > 0 else ()

    def apply(self, event: Event) -> None:
        """Apply ``event`` to the state."""
        with self._lock:
            self._set(activity=activity_after(event, self._record.activity))
            match event:
                case MetricsReported():
                    self._add_metrics(event)
                case Validated():
                    self._add_validation(event)
                case StateChanged():
                    self._note_trained(event.batches_trained)
                    self._change_state(event.state)
                case ActivityChanged():
                    self._set(validation_done=event.done, validation_total=event.total)
                    self._clock.forget_speed()  # otherwise the time of a validation would count as time of batches
                case PlanChanged():
                    self._change_plan(event)
                case BestChanged():
                    self._set(best=event.best)
                case Moved():
                    self._move(event)
                case Checkpointed() if event.is_current:
                    saved = event.checkpoint
                    self._note_saved(SavedRecord(saved.id, saved.run_id), saved.batches_trained)
                # The function of the user can have changed the weights.
                case CommandAnswered() if event.command == AtBatch.kind and event.outcome != "refused":
                    self._set(saved=None)
                case Loaded():
                    self._load(event)
                case Logged():
                    self._log.extend(event.lines)
                    self._lines_written += len(event.lines)
                case Warned():
                    self._set_warnings([*(one for one in self._warnings if one.text != event.text), event])
                case Failed():
                    hint = event.error.hint
                    self._set(error=replace(event.error, hint=None if hint is None else worded(hint)))
                case GpuRead():
                    self._set(gpu=event.gpu)
                case SlowedChanged():
                    self._set(slowed=event.slowed)
                case RunBegan():
                    self._set(run_id=event.run_id)
                case Stuck():
                    self._set(stuck=event.stack)
                case Closed():
                    self._is_closed = True
                    self._set(stuck=None)
                case _:
                    pass

    # With the lock held ----------------------------------------------------------------------------------------------

    def _situation(self) -> Situation:
        return Situation(
            self._record.state,
            self._record.has_training,
            self._record.activity,
            self._can_reload,
            self._is_closed,
            self._record.stuck is not None,
        )

    def _set(self, **changes: Any) -> None:  # Any: fields of SessionRecord
        self._record = replace(self._record, **changes)

    def _set_warnings(self, warnings: list[Warned]) -> None:
        self._warnings = warnings
        shown = tuple(worded(one.text) for one in warnings[:MOST_WARNINGS])
        self._set(warnings=shown, more_warnings=len(warnings) - len(shown))

    def _end_warnings(self, until: Until) -> None:
        self._set_warnings([one for one in self._warnings if one.until not in until.ends])

    def _change_plan(self, event: PlanChanged) -> None:
        if event.start is not None and event.start != self._record.plan_start_batches:
            self._clock.begin_plan()
        begins = event.is_training and not self._record.has_training
        self._set(
            plan_start_batches=event.start,
            plan_target_batches=event.target,
            has_training=event.is_training,
            trainings=self._record.trainings + begins,
            batches_per_epoch=event.batches_per_epoch,
        )

    def _load(self, event: Loaded) -> None:
        before, self._loaded = self._loaded, event.loaded
        self._can_reload = event.loaded.can_reload
        self._set(
            entrypoint=event.loaded.recipe.entrypoint or self._record.entrypoint,
            device=event.loaded.device,
            framework=event.loaded.framework,
        )
        if before is not None:
            self._end_warnings(Until.LOAD)
            changed = changed_hyperparameters(before, event.loaded)
            new = tuple(HyperparameterChange(name, old, now, event.batches_trained) for name, old, now in changed)
            self._set(hyperparameter_changes=(*self._record.hyperparameter_changes, *new))

    def _note_saved(self, saved: SavedRecord | None, batches_trained: int) -> None:
        self._saved_at = batches_trained
        self._set(saved=saved)

    def _note_trained(self, batches_trained: int) -> None:
        if batches_trained > self._saved_at:
            self._set(saved=None)

    def _move(self, event: Moved) -> None:
        saved = None  # the history lists no checkpoint that Determined wrote
        if event.checkpoint is not None and event.run_id is not None:
            saved = SavedRecord(event.checkpoint, event.run_id)
        self._note_saved(saved, event.batches_trained)
        self._set(
            batches_trained=event.batches_trained,
            records_trained=event.records_trained,
            plan_start_batches=None,
            plan_target_batches=None,
        )
        self._end_warnings(Until.RESTORE)
        self._curves.move(event, self._record.run_id)
        self._set(latest=self._curves.newest())

    def _add_metrics(self, event: MetricsReported) -> None:
        self._curves.add_report(event)
        latest = {name: float(values[-1]) for name, _, values in event.points()}
        batches_trained = int(event.batches[-1])
        self._note_trained(batches_trained)
        self._clock.tick(batches_trained, event.records_trained)
        known = self._record.latest
        self._set(
            batches_trained=batches_trained,
            records_trained=event.records_trained,
            latest={**known, Group.TRAINING.value: {**known.get(Group.TRAINING.value, {}), **latest}},
        )

    def _add_validation(self, event: Validated) -> None:
        metrics = scalars(event.metrics)
        self._curves.add_validation(event.batches_trained, metrics)
        self._set(latest={**self._record.latest, Group.VALIDATION.value: metrics})

    def _change_state(self, state: State) -> None:
        if state is State.RUNNING:
            self._clock.start()
        else:
            self._clock.stop()
        changes: dict[str, Any] = {"state": state}
        if state is State.RUNNING and not self._record.state.is_live:  # values of the previous training
            changes |= {"plan_start_batches": None, "plan_target_batches": None, "error": None, "has_training": False}
            self._end_warnings(Until.TRAINING)
        if not state.is_live:
            changes |= {"validation_done": None, "validation_total": None, "has_training": False, "stuck": None}
        self._set(**changes)

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
            plan_elapsed_s=0.0 if record.plan_start_batches is None else self._clock.plan_s(),
            eta_s=eta_s,
            batches_per_second=batches_per_second,
            records_per_second=records_per_second if record.records_trained else None,  # a script reports no records
        )


class _Clock:
    """Time spent running, in total and in the current plan, and the speed over the last few seconds."""

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

    def stop(self) -> None:
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
        """Begin a new window after a pause or a validation."""
        self._ticks.clear()
