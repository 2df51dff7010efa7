"""What is shown and kept: sessions, runs, series, files.

Every record here is a frozen dataclass of plain values, so that :mod:`detjupyter.protocol.wire` can turn it into JSON and
:mod:`detjupyter.protocol.typescript` can write the same shape in TypeScript. Times are seconds since the Unix epoch, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.states import Activity, Group, State

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as people read it: what was raised, the user's own frames as text, and what to do next."""

    name: str
    message: str
    traceback: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class GpuRecord:
    """One reading of the GPU that the trial runs on; ``utilisation`` in percent."""

    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    utilisation: float | None


@dataclass(frozen=True, slots=True)
class BestRecord:
    """The best value so far of the metric that ranks runs, and the number of batches trained when it was reached."""

    name: str
    value: float
    batches_trained: int
    smaller_is_better: bool


@dataclass(frozen=True, slots=True)
class HyperparameterRecord:
    """A hyperparameter, dotted if nested, and where its value came from (``const.yaml``, ``--hparam``, ``sampled, seed 7``)."""

    name: str
    value: Any  # whatever the YAML held: a scalar or a list
    origin: str


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A module that stands otherwise on disk than it was loaded: ``what`` is ``edited``, ``removed`` or ``does not compile``.

    ``names`` are the classes, methods and functions that differ, dotted; empty if only comments or the layout do.
    """

    path: str
    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnshippedRecord:
    """A file that the definition ``imported`` or ``opened`` (``how``) although it would not ship.

    The rule is what leaves it out, and ``sentence`` says it all.
    """

    path: str
    how: str
    source: str
    line: int | None
    pattern: str
    sentence: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What the definition used of its files: those that would be missing elsewhere, and (a hint) those that ship for nothing.

    ``unused`` names the biggest few of ``unused_files``.
    """

    unshipped: tuple[UnshippedRecord, ...]
    unused: tuple[str, ...]
    unused_files: int
    unused_bytes: int


@dataclass(frozen=True, slots=True)
class CardRecord:
    """What was loaded: the text of the card that ``%det_load`` shows.

    ``changed`` compares the loaded code with the disk at this moment, ``usage`` what was used so far with what would ship.
    ``determined_differences`` counts the paths about which Determined's uploader decides otherwise. ``notes`` are sentences that were
    worth saying at the load (a module that hides one of Python's, an unknown key of the config).
    """

    entrypoint: str
    definition: str
    definition_root: str
    class_name: str
    framework: str
    file: str
    line: int
    device: str
    seed: int
    config_path: str | None
    hyperparameters: tuple[HyperparameterRecord, ...]
    included_files: int
    included_bytes: int
    excluded_entries: int
    limit_bytes: int
    bundle_hash: str
    loaded_at: float
    determined_differences: int = 0
    startup_hook: str | None = None
    notes: tuple[str, ...] = ()
    changed: tuple[ChangeRecord, ...] = ()
    usage: UsageRecord | None = None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session at one moment: all that a view needs besides the curves and the log.

    ``plan_start_batches`` and ``plan_target_batches`` bound the training under way (counts of batches trained);
    ``validation_done`` and ``validation_total`` count batches of the validation under way. ``latest`` holds the newest value of
    every metric by group. By default it is as it was before its first batch.
    """

    session_id: str
    run_id: str | None
    entrypoint: str
    definition: str
    definition_root: str
    framework: str
    device: str
    state: State = State.READY
    activity: Activity = Activity.IDLE
    batches_trained: int = 0
    records_trained: int = 0
    batches_per_epoch: int | None = None
    plan_start_batches: int | None = None
    plan_target_batches: int | None = None
    validation_done: int | None = None
    validation_total: int | None = None
    batches_per_second: float | None = None
    records_per_second: float | None = None
    elapsed_s: float = 0.0
    eta_s: float | None = None
    latest: dict[str, dict[str, float]] = field(default_factory=dict)
    best: BestRecord | None = None
    gpu: GpuRecord | None = None
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the history lists it; ``session`` is the last state that the run's session wrote down."""

    id: str
    state: State
    entrypoint: str
    definition: str
    definition_root: str
    framework: str
    device: str
    seed: int
    hyperparameters: dict[str, Any]
    config: dict[str, Any]
    bundle_hash: str
    kernel_id: str | None
    host: str
    pid: int
    created_at: float
    updated_at: float
    ended_at: float | None
    batches_trained: int
    best: BestRecord | None
    session: SessionRecord | None


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint on disk; ``path`` is its directory.

    ``automatic`` tells those that a training wrote by itself, which may be deleted for newer or better ones, from those that a person
    asked for, which may not. ``metric`` is the value of the metric that ranks runs if a validation of the same batch came before.
    """

    id: str
    run_id: str
    batches_trained: int
    created_at: float
    path: str
    size_bytes: int
    automatic: bool = False
    metric: float | None = None


@dataclass(frozen=True, slots=True)
class SeriesPatch:
    """Points of one curve: keep the first ``start`` points you have, then append these.

    ``batches`` (N,) ascending and ``values`` (N,), both float64; ``values`` may hold NaN and infinities. On a kernel's comm the two
    arrays travel as binary buffers (see :mod:`detjupyter.protocol.messages`), elsewhere as JSON lists.
    """

    group: Group
    name: str
    start: int
    batches: FloatArray
    values: FloatArray


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the trial wrote, or that the session says of itself (``stream`` is ``detjupyter`` then)."""

    at: float
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One path of a model definition. ``rule`` is the line that decided, ``source`` where that line stands.

    ``path`` is relative and POSIX, with a final ``/`` for a directory that is left out as a whole (its ``size_bytes`` is 0: it is not
    walked). ``source`` is ``always``, ``default`` or ``.detignore``; ``line`` counts from 1.
    """

    path: str
    kind: str
    size_bytes: int
    included: bool
    source: str | None
    line: int | None
    pattern: str | None
