"""What happened in a run, for the marks on its charts, and when its batches were trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detjupyter.protocol.records import HyperparameterChange, MarkRecord, RunRecord, StoryRecord
from detjupyter.server.reloads import reload_changes
from detjupyter.store.export.times import known_times
from detjupyter.store.leftovers import is_count, is_number
from detjupyter.text import one_line

if TYPE_CHECKING:
    from detjupyter.store.base import Store

MOST_MARKS = 2_000
MOST_TIMES = 2_000
_MOST_TEXT = 500
_MOST_METRICS = 8


def story_of(store: Store, run_id: str) -> StoryRecord:
    """Return the marks of a run, in the order of their batches, and the times between which those of its batches are interpolated.

    Of more than 2,000 marks, validations and checkpoints give way first, then the earliest.

    Raises:
        RunNotFoundError: There is no such run.
    """
    run, events = store.run(run_id), store.events(run_id)
    marks = sorted(_marks(store, run, events), key=lambda mark: mark.batches_trained)
    if len(marks) > MOST_MARKS:
        marks = [mark for mark in marks if mark.kind not in ("validation", "checkpoint")]
    batches, times = known_times(run, events)
    if len(batches) > MOST_TIMES:
        kept = np.linspace(0, len(batches) - 1, MOST_TIMES).astype(np.int64)
        batches, times = batches[kept], times[kept]
    batches_per_epoch = run.session.batches_per_epoch if run.session is not None else None
    return StoryRecord(tuple(marks[-MOST_MARKS:]), batches.astype(np.float64), times, batches_per_epoch)


def _marks(store: Store, run: RunRecord, events: Sequence[Mapping[str, Any]]) -> Iterator[MarkRecord]:
    """Yield the marks; events that are not as we write them are ignored."""
    changes = run.session.hyperparameter_changes if run.session is not None else ()
    for change in changes:
        yield MarkRecord("hyperparameters", change.batches_trained, _cut(_change(change)))
    if run.best is not None:
        yield MarkRecord("best", run.best.batches_trained, _cut(f"best {run.best.name} {run.best.value:.4g}"))
    code_changes = reload_changes(store.home, run, events)
    for event in events:
        checkpoint = event.get("checkpoint")
        batches = event.get("batches_trained")
        if batches is None and isinstance(checkpoint, Mapping):
            batches = checkpoint.get("batches_trained")
        mark = _described(event)
        if mark is not None and is_count(batches):
            lines = code_changes.pop(batches, "") if mark[0] == "reload" else ""
            yield MarkRecord(mark[0], batches, "\n".join(filter(None, [_cut(mark[1]), lines])))


def _described(event: Mapping[str, Any]) -> tuple[str, str] | None:
    match event:
        case {"kind": "validation", "metrics": Mapping() as metrics}:
            numbers = [f"{name} {value:.4g}" for name, value in metrics.items() if is_number(value)]
            more = f", and {len(numbers) - _MOST_METRICS} more" if len(numbers) > _MOST_METRICS else ""
            return "validation", f"validation: {', '.join(numbers[:_MOST_METRICS])}{more}"
        case {"kind": "checkpoint"}:
            return "checkpoint", "checkpoint saved"
        case {"kind": "moved"}:
            return "restore", "continued from a checkpoint"
        case {"kind": "loaded"}:
            return "reload", "code reloaded"
        case {"kind": "state", "state": "paused"}:
            return "pause", "paused"
        case {"kind": "error", "error": Mapping() as error}:
            return "error", f"failed: {error.get('message', '')}"
        case _:
            return None


def _change(change: HyperparameterChange) -> str:
    before = "(not set)" if change.before is None else change.before
    now = "(not set)" if change.now is None else change.now
    return f"{change.name}: {before} → {now}"


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _MOST_TEXT else f"{line[: _MOST_TEXT - 1]}…"
