"""The records that views show and the history stores: sessions, runs, series, files.

Every record here is a frozen dataclass of plain values, so that :mod:`detjupyter.protocol.wire` can turn it into JSON and
:mod:`detjupyter.protocol.typescript` can write the same shape in TypeScript. Times are in seconds since the Unix epoch, sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.states import Activity, Group, State

FloatArray = npt.NDArray[np.float64]

UNKNOWN_DEVICE = "—"
"""The device of a run whose script does not say where it trains."""


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error for display: its message, the user's own frames as text, and the next step."""

    name: str
    message: str
    traceback: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class GpuRecord:
    """One reading of the GPU that the trial runs on; ``utilization`` in percent."""

    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    utilization: float | None = None


@dataclass(frozen=True, slots=True)
class BestRecord:
    """The best value so far of the metric that ranks runs, and the number of batches trained when it was reached."""

    name: str
    value: float
    batches_trained: int
    smaller_is_better: bool


@dataclass(frozen=True, slots=True)
class HyperparameterRecord:
    """A hyperparameter, dotted if nested, and where its value came from (``const.yaml``, ``override``, ``sampled from …``)."""

    name: str
    value: Any  # any value of the YAML: a scalar, a list or a mapping
    origin: str


@dataclass(frozen=True, slots=True)
class HyperparameterChange:
    """A hyperparameter changed by a reload: its values before and after ``batches_trained`` batches; None if it did not exist."""

    name: str
    before: Any
    now: Any
    batches_trained: int


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A module whose file changed since it was loaded: ``what`` is ``edited``, ``removed`` or ``does not compile``.

    ``names`` are the dotted names of the classes, methods and functions that differ; empty if only comments or the layout differ.
    """

    path: str
    what: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnshippedRecord:
    """A file that the definition ``imported`` or ``opened`` (``how``) although it would not ship.

    The other fields are the rule that leaves it out; ``sentence`` is the full explanation.
    """

    path: str
    how: str
    source: str
    line: int | None
    pattern: str
    sentence: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """Which of its files the definition used: files that are used but would not ship, and, as a hint, files that ship but are not used.

    ``unused`` names the largest of the ``unused_files`` unused files.
    """

    unshipped: tuple[UnshippedRecord, ...]
    unused: tuple[str, ...]
    unused_files: int
    unused_bytes: int


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A loaded definition: the content of the card that ``%det_load`` shows.

    ``changed`` compares the loaded code with the current files on disk, ``usage`` the files used so far with those that would ship.
    ``determined_differences`` counts the paths about which Determined's uploader decides differently. ``warnings`` are what the user should
    probably correct (an unknown key of the config), ``notes`` other remarks from the load (a module that hides one of Python's), and
    ``file_notes`` remarks about the files, which a view that lists the files does not need. ``hyperparameter_changes`` are the changes made
    by reloads. ``is_seed_drawn`` is True if neither the user nor the config chose the seed.
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
    hyperparameter_changes: tuple[HyperparameterChange, ...] = ()
    warnings: tuple[str, ...] = ()
    file_notes: tuple[str, ...] = ()
    is_seed_drawn: bool = False


@dataclass(frozen=True, slots=True)
class SavedRecord:
    """The checkpoint, by its id, that holds the present state of a session, and the run that lists it."""

    checkpoint: str
    run_id: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session at one moment: everything that a view needs except the curves and the log.

    ``plan_start_batches`` and ``plan_target_batches`` bound the current training (counts of batches trained); ``plan_elapsed_s`` is the
    time spent in it, ``eta_s`` the time left in it, and ``elapsed_s`` the time that the session has trained in total.
    ``validation_done`` and ``validation_total`` count batches of the current validation. ``latest`` contains the newest value of every
    metric by group. ``trainings`` counts the trainings that have begun. ``allowed`` contains the kinds of command that have an effect
    now. ``has_training`` is False for a step outside of a training, ``slowed`` is True while a busy cell slows the training down, and
    ``stuck`` is the stack (as Python formats it) of a batch that has not ended for seconds. ``saved`` is the checkpoint that holds the
    present state: nothing was trained or changed since it was saved or restored. It is None if there is none. ``warnings`` are the
    first of detjupyter's warnings that hold now, and ``more_warnings`` counts the others. The defaults describe a session before its
    first batch.
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
    plan_elapsed_s: float = 0.0
    eta_s: float | None = None
    latest: dict[str, dict[str, float]] = field(default_factory=dict)
    best: BestRecord | None = None
    gpu: GpuRecord | None = None
    error: ErrorRecord | None = None
    allowed: tuple[str, ...] = ()
    has_training: bool = False
    trainings: int = 0
    slowed: bool = False
    stuck: str | None = None
    hyperparameter_changes: tuple[HyperparameterChange, ...] = ()
    saved: SavedRecord | None = None
    warnings: tuple[str, ...] = ()
    more_warnings: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the history lists it.

    ``session`` is the session as the run last recorded it. ``recipe`` is the load recipe of its trial, ``versions`` the versions of Python
    and of the packages at the first load; both are None for runs of scripts and of earlier versions. ``notebook`` is the path of the
    notebook in which the run began, None if it is unknown. The last five fields are what the user has added; lists hide a run that is
    ``archived``.
    """

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
    recipe: LoadRecipe | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notebook: str | None = None
    name: str = ""
    note: str = ""
    tags: tuple[str, ...] = ()
    starred: bool = False
    archived: bool = False


@dataclass(frozen=True, slots=True)
class RunParent:
    """The run that another run continues, and the number of batches after which it does."""

    run_id: str
    batches_trained: int


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint on disk; ``path`` is its directory.

    ``automatic`` is True if a training saved it on its own: newer or better checkpoints may replace it. Checkpoints that the user asked
    for are never deleted automatically. ``metric`` is the value of the metric that ranks runs, if a validation preceded it at the same
    batch.
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

    ``batches`` (N,) ascending and ``values`` (N,), both float64; ``values`` may contain NaN and infinities. On a kernel's comm the two
    arrays are sent as binary buffers (see :mod:`detjupyter.protocol.messages`), elsewhere as JSON lists.
    """

    group: Group
    name: str
    start: int
    batches: FloatArray
    values: FloatArray


@dataclass(frozen=True, slots=True)
class MarkRecord:
    """What happened after ``batches_trained`` batches of a run; ``text`` describes it in a line, a reload also by the changed code.

    ``kind`` is ``validation``, ``checkpoint``, ``best``, ``restore``, ``reload``, ``hyperparameters``, ``pause``, ``resume``, ``end`` or
    ``error``.
    """

    kind: str
    batches_trained: int
    text: str


@dataclass(frozen=True, slots=True)
class StoryRecord:
    """What happened in a run, and when it had trained how many batches.

    ``times`` (N,) are seconds since the Unix epoch, at which the run had trained ``batches`` (N,); both ascend. Between two of them the
    times of batches can be interpolated. ``batches_per_epoch`` is None if it is not known.
    """

    marks: tuple[MarkRecord, ...]
    batches: FloatArray
    times: FloatArray
    batches_per_epoch: int | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output of the trial, or a message of the session (then ``stream`` is ``detjupyter``)."""

    at: float
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One path of a model definition. ``pattern`` is the rule that decided, ``source`` where the rule comes from.

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
