"""What a session says while it works. The loop yields these; the driver hands them to the store and to the views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import CheckpointRecord, ErrorRecord, FloatArray, LogLine
from detjupyter.protocol.states import Activity, State


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session entered ``state``."""

    kind: ClassVar[str] = "state"
    state: State
    batches_trained: int


@dataclass(frozen=True, slots=True)
class ActivityChanged:
    """The session turned to something else, or got on with it: ``done`` of ``total`` batches of a validation."""

    kind: ClassVar[str] = "activity"
    activity: Activity
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class MetricsReported:
    """Training metrics of the batches since the last report.

    ``batches`` (N,) int64 is the number of batches trained when each value was taken (the first batch gives 1); ``columns`` maps a
    metric to (N,) float64, NaN where a batch had no value for it; for the metrics that some batches lack, ``given`` (N,) says which have
    it.
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
    """A validation ended with ``metrics``; those that are single numbers are drawn."""

    kind: ClassVar[str] = "validation"
    batches_trained: int
    metrics: Mapping[str, Any]  # arrays and strings are allowed in evaluate_full_dataset


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """A checkpoint is on disk, complete."""

    kind: ClassVar[str] = "checkpoint"
    checkpoint: CheckpointRecord


@dataclass(frozen=True, slots=True)
class Logged:
    """Lines for the run's log."""

    kind: ClassVar[str] = "log"
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The user's code raised; the session is in state ``failed`` and can go on after a fix."""

    kind: ClassVar[str] = "error"
    error: ErrorRecord
    batches_trained: int


@dataclass(frozen=True, slots=True)
class Intervened:
    """A person asked for ``command`` (its kind) while the training was under way."""

    kind: ClassVar[str] = "intervention"
    command: str
    batches_trained: int


Event = Union[StateChanged, ActivityChanged, MetricsReported, Validated, Checkpointed, Logged, Failed, Intervened]
