"""One message of each class that crosses the seam, with awkward values in it, and what it is for two of them to be the same."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from detjupyter.protocol.answers import Answer, ErrorAnswer
from detjupyter.protocol.calls import CloseEngine, CloseEngineSoon, InterruptLoad, KillEngine, ReadStack
from detjupyter.protocol.commands import (
    AtBatch,
    AwaitFiles,
    CommandMessage,
    ForceClose,
    MakeCheckpoint,
    Pause,
    Reload,
    Restore,
    Resume,
    Step,
    Stop,
    Train,
    UseCode,
    UseRun,
    Validate,
)
from detjupyter.protocol.events import (
    ActivityChanged,
    Beat,
    BestChanged,
    Checkpointed,
    Closed,
    CodeMissing,
    CodeReplaced,
    CommandAnswered,
    Failed,
    FilesUsed,
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
)
from detjupyter.protocol.lengths import Batch, Epoch, Records
from detjupyter.protocol.origins import Origin
from detjupyter.protocol.recipe import LoadedRecord, LoadRecipe
from detjupyter.protocol.records import BestRecord, CheckpointRecord, ErrorRecord, GpuRecord, LogLine
from detjupyter.protocol.states import Activity, State

WORDS = "naïve\n\x00 \U0001f600 \ud800 \u2028 \"'$"
"""Text that a careless writer breaks: other alphabets, a NUL, half a surrogate pair, quotes."""

CHECKPOINT = CheckpointRecord("c", "r", 3, 1.5, "/there", 2**40, automatic=True, metric=math.nan)
RECIPE = LoadRecipe("m:T", "/there", {"a": {"$": [1, None]}}, {"lr": 1e-300, "layers": (1, 2)}, 2**64 - 1, settings={"default": "cpu"})
LOADED = LoadedRecord(
    RECIPE,
    *("/there", "/there", "T", "toy", "/there/m.py"),
    7,
    "cpu",
    None,
    {"searcher": {"max_length": {"batches": 1}}, 3: "a key that is no text"},
    None,
    {"lr": math.inf},
    {"lr": "config"},
    ("a note",),
    {"m.py": b"\x00\xff", "empty.py": b""},
    1e9,
    {"python": "3"},
)
LONGEST = Train(
    Epoch(3),
    validate_every=Batch(frozenset({1, 5})),
    checkpoint_every=Batch((2, 4)),
    report_every=Records(10),
    checkpoint_policy="best",
    stops_at_nan=True,
)

COMMANDS: tuple[Any, ...] = (
    *(Train(), Train(7, in_total=True), LONGEST, Pause(), Resume(), Step(3), Stop(), Validate(), MakeCheckpoint()),
    *(Restore("/there", trust=True), Reload(), ForceClose(), AtBatch(f"lambda trial: {WORDS!r}")),
    *(UseRun("r", "/there"), UseCode("/there", None), UseCode("/there", "0f"), AwaitFiles()),
)
MESSAGES: tuple[Any, ...] = tuple(CommandMessage(command, Origin.LIVE_VIEW, f"id{number}") for number, command in enumerate(COMMANDS))

EVENTS: tuple[Any, ...] = (
    *(StateChanged(state, 2**62) for state in State),
    ActivityChanged(Activity.VALIDATING, 1, None),
    PlanChanged(None, None, is_training=False, batches_per_epoch=None),
    PlanChanged(0, 10, is_training=True, batches_per_epoch=3),
    MetricsReported(
        np.array([1, 2], dtype=np.int64),
        {"loss": np.array([math.nan, -math.inf]), WORDS: np.array([0.0, -0.0])},
        8,
        {"loss": np.array([True, False])},
    ),
    MetricsReported(np.array([], dtype=np.int64), {}, 0),
    Validated(3, {"error": np.float32(0.1), "many": np.arange(6).reshape(2, 3), "text": WORDS, "nested": {"a": [None, (1,)]}}),
    BestChanged(BestRecord("error", -math.inf, 3, smaller_is_better=True)),
    Checkpointed(CHECKPOINT),
    Moved(3, 12),
    Loaded(LOADED, 3, 1),
    Logged((LogLine(0.0, "stdout", WORDS), LogLine(1.0, "detjupyter", ""))),
    Logged(()),
    *(Warned(WORDS, until) for until in Until),
    Failed(ErrorRecord("ValueError", WORDS, "line 1\nline 2"), 3, ErrorAnswer("TrialError", WORDS, {"hint": None, "exception": "E"})),
    GpuRead(GpuRecord("H200", 1, 2, 50.0)),
    GpuRead(None),
    SlowedChanged(slowed=True),
    FilesUsed({"m.py": b"x = 1\n"}, ("data.npz",), complete=False),
    CommandAnswered("id", "train", {"length": Batch(3)}, Origin.TRIAL, 1, 2, "failed", WORDS, {"code": "0f", "load": 2}),
    CodeReplaced("0f", 3, 2),
    *(RunBegan("r"), Stuck(WORDS), Stuck(None), Closed()),
    *(CodeMissing(), Beat()),
)

ANSWERS: tuple[Any, ...] = (
    *(Answer("id"), Answer("id", {"error": 0.5}), Answer("id", CHECKPOINT), Answer("id", (LOADED, LOADED))),
    Answer("id", error=ErrorAnswer("SessionBusyError", WORDS, {"state": "running", "hint": "wait", "available": ("a", "b")})),
)

CALLS: tuple[Any, ...] = (CloseEngine(State.INTERRUPTED, 0.5), CloseEngineSoon(), InterruptLoad(), KillEngine(), ReadStack())

ALL: tuple[Any, ...] = (*COMMANDS, *MESSAGES, *EVENTS, *ANSWERS, *CALLS)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are alike in class and content: NaN is NaN, 0 is not -0, True is not 1."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, PurePath):
        return bool(one == other)
    if type(one) is not type(other):
        return False
    if isinstance(one, np.generic):
        return one.tobytes() == other.tobytes()
    if isinstance(one, float):
        return repr(one) == repr(other)
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
