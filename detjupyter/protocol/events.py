"""The events that an engine emits.

The session folds them into the live state, records them and publishes them. Apart from the answers to commands, the engine sends nothing
else to the session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.answers import ErrorAnswer
from detjupyter.protocol.origins import Origin
from detjupyter.protocol.recipe import LoadedRecord
from detjupyter.protocol.records import BestRecord, CheckpointRecord, ErrorRecord, FloatArray, GpuRecord, LogLine
from detjupyter.protocol.states import Activity, State


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session entered ``state``."""

    kind: ClassVar[str] = "state"
    state: State
    batches_trained: int


@dataclass(frozen=True, slots=True)
class ActivityChanged:
    """The engine's activity changed, or a validation made progress: ``done`` of ``total`` batches."""

    kind: ClassVar[str] = "activity"
    activity: Activity
    done: int | None = None
    total: int | None = None


def activity_after(event: Any, activity: Activity) -> Activity:  # Any: any event
    """Return the activity of an engine after it has emitted ``event``, given its ``activity`` before."""
    if isinstance(event, ActivityChanged):
        return event.activity
    has_ended = isinstance(event, StateChanged) and not event.state.is_live
    return Activity.IDLE if has_ended else activity


@dataclass(frozen=True, slots=True)
class MetricsReported:
    """Training metrics of the batches since the last report.

    ``batches`` (N,) int64 is the number of batches trained at each value (1 for the first batch); ``columns`` maps a metric to (N,)
    float64, NaN where a batch had no value for it; for metrics that some batches lack, ``given`` (N,) is True where a batch has one.
    """

    kind: ClassVar[str] = "metrics"
    batches: npt.NDArray[np.int64]
    columns: Mapping[str, FloatArray]
    records_trained: int
    given: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def points(self) -> Iterator[tuple[str, npt.NDArray[np.int64], FloatArray]]:
        """Yield each metric that has a value, with the batches that have it and the values."""
        for name, values in self.columns.items():
            given = self.given.get(name)
            if given is None:
                yield name, self.batches, values
            elif given.any():
                yield name, self.batches[given], values[given]


@dataclass(frozen=True, slots=True)
class Validated:
    """A validation ended with ``metrics``; views draw those that are single numbers."""

    kind: ClassVar[str] = "validation"
    batches_trained: int
    metrics: Mapping[str, Any]  # arrays and strings are allowed in evaluate_full_dataset


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """A complete checkpoint is on disk; ``is_current`` if the trial still has the state that it holds."""

    kind: ClassVar[str] = "checkpoint"
    checkpoint: CheckpointRecord
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """Lines for the run's log."""

    kind: ClassVar[str] = "log"
    lines: tuple[LogLine, ...]


class Until(StrEnum):
    """What ends a warning: the next training, the next restore, or the next load of the code, after which the fault can be gone."""

    TRAINING = "training"
    RESTORE = "restore"
    LOAD = "load"

    @property
    def ends(self) -> frozenset[Until]:
        """The warnings that end with this one: new code ends all."""
        return frozenset(Until) if self is Until.LOAD else frozenset({self})


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of detjupyter itself about the trial: what the user should probably correct. The log has the same text."""

    kind: ClassVar[str] = "warning"
    text: str
    until: Until


@dataclass(frozen=True, slots=True)
class Failed:
    """The user's code raised an exception; the session is in state ``failed`` and can continue after a fix."""

    kind: ClassVar[str] = "error"
    error: ErrorRecord
    batches_trained: int
    failure: ErrorAnswer | None = None  # the error that the senders of commands get


@dataclass(frozen=True, slots=True)
class Loaded:
    """A trial was built: at the start, or by a reload after ``batches_trained`` batches.

    ``number`` counts the loads of an engine: 0 at the start, then 1 for the first reload.
    """

    kind: ClassVar[str] = "loaded"
    loaded: LoadedRecord
    batches_trained: int
    number: int = 0


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """From now on, progress is measured from ``start`` to ``target`` batches; both None: no training is running or paused.

    ``is_training`` is False for a step outside of a training. ``batches_per_epoch`` is None if it is not known.
    """

    kind: ClassVar[str] = "plan"
    start: int | None
    target: int | None
    is_training: bool
    batches_per_epoch: int | None


@dataclass(frozen=True, slots=True)
class BestChanged:
    """The newest validation is the best so far."""

    kind: ClassVar[str] = "best"
    best: BestRecord


@dataclass(frozen=True, slots=True)
class Moved:
    """The trial was restored from a checkpoint; its curves end there until it is trained further.

    Attributes:
        batches_trained: The batches that the trial has trained at the checkpoint.
        records_trained: The records in these batches.
        run_id: The run that saved the checkpoint; None if Determined wrote it.
        checkpoint: The id of the checkpoint; None if Determined wrote it.
    """

    kind: ClassVar[str] = "moved"
    batches_trained: int
    records_trained: int
    run_id: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True)
class GpuRead:
    """A reading of the GPU that the trial uses; None if it can no longer be read."""

    kind: ClassVar[str] = "gpu"
    gpu: GpuRecord | None


@dataclass(frozen=True, slots=True)
class SlowedChanged:
    """Whether a busy cell (or any other thread that holds the interpreter lock) slows the training down."""

    kind: ClassVar[str] = "slowed"
    slowed: bool


@dataclass(frozen=True, slots=True)
class FilesUsed:
    """Files of the definition that were imported (path and text) or opened (path) since the last such event.

    Paths are relative to the root. ``complete`` is False after too many files were opened to track them all.
    """

    kind: ClassVar[str] = "files"
    sources: Mapping[str, bytes]
    opened: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class CommandAnswered:
    """A command was answered; emitted just before the sender gets the answer.

    Attributes:
        id: The id of the command.
        command: Its kind.
        arguments: Its arguments.
        origin: Where it came from.
        at_batch: The number of batches trained when it took effect.
        answered_at_batch: The number of batches trained when it was answered.
        number: Its position among the commands that the engine has accepted, from 1; 0 if it was refused before.
        outcome: ``done``, ``refused`` (nothing was changed) or ``failed``.
        error: Why it was refused, or what failed.
        details: Further values for the record: the hash of the modules that a reload has loaded, and its number; the directory of a
            checkpoint.
    """

    kind: ClassVar[str] = "command"
    id: str
    command: str
    arguments: Mapping[str, Any]
    origin: Origin
    at_batch: int
    answered_at_batch: int
    outcome: str
    number: int = 0
    error: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodeReplaced:
    """The trial continues with new code, ``bundle_hash``, after ``batches_trained`` batches; ``load`` is the number of :class:`Loaded`.

    The session emits this event after the code was stored, or after storing it failed.
    """

    kind: ClassVar[str] = "code"
    bundle_hash: str
    batches_trained: int
    load: int = 0


@dataclass(frozen=True, slots=True)
class RunBegan:
    """From now on, the session is recorded in the run ``run_id``. The session emits this event."""

    kind: ClassVar[str] = "run"
    run_id: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """The engine has not reported for too long, and its thread is in ``stack``; None: it reports again. The session emits this event."""

    kind: ClassVar[str] = "stuck"
    stack: str | None


@dataclass(frozen=True, slots=True)
class Closed:
    """The session no longer accepts commands. The session emits this event."""

    kind: ClassVar[str] = "closed"


@dataclass(frozen=True, slots=True)
class CodeMissing:
    """A checkpoint was saved without the code of the run: the code store no longer has it."""

    kind: ClassVar[str] = "code_missing"


@dataclass(frozen=True, slots=True)
class Beat:
    """The engine is alive and has no other event to emit."""

    kind: ClassVar[str] = "beat"


Event = (
    StateChanged
    | ActivityChanged
    | PlanChanged
    | MetricsReported
    | Validated
    | BestChanged
    | Checkpointed
    | Moved
    | Loaded
    | Logged
    | Warned
    | Failed
    | GpuRead
    | SlowedChanged
    | FilesUsed
    | CommandAnswered
    | CodeReplaced
    | CodeMissing
    | RunBegan
    | Stuck
    | Closed
    | Beat
)
