"""What happened in a run, by batch, from its record and its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detjupyter.protocol.records import HyperparameterChange, MarkRecord, RunRecord
from detjupyter.store.leftovers import is_count, is_number
from detjupyter.text import one_line, shortened

OFTEN = ("validation", "checkpoint")
"""The kinds that give way first where there is too little room."""

_MOST_TEXT = 500
_MOST_METRICS = 8


def marks_of(run: RunRecord, events: Sequence[Mapping[str, Any]]) -> list[MarkRecord]:
    """Return what happened in a run, in the order of batches; events that are not as we write them are ignored."""
    return sorted(_marks(run, events), key=lambda mark: mark.batches_trained)


def most_important(marks: Sequence[MarkRecord], most: int) -> Sequence[MarkRecord]:
    """Return ``marks``, or if there are more than ``most``, the latest of those that do not occur ``OFTEN``."""
    return marks if len(marks) <= most else [mark for mark in marks if mark.kind not in OFTEN][-most:]


def _marks(run: RunRecord, events: Sequence[Mapping[str, Any]]) -> Iterator[MarkRecord]:
    changes = run.session.hyperparameter_changes if run.session is not None else ()
    for change in changes:
        yield MarkRecord("hyperparameters", change.batches_trained, _line(_change(change)))
    if run.best is not None:
        yield MarkRecord("best", run.best.batches_trained, _line(f"best {run.best.name} {run.best.value:.4g}"))
    is_paused = False
    for event in events:
        checkpoint = event.get("checkpoint")
        batches = event.get("batches_trained")
        if batches is None and isinstance(checkpoint, Mapping):
            batches = checkpoint.get("batches_trained")
        mark = _described(event, is_paused=is_paused)
        if event.get("kind") == "state":
            is_paused = event.get("state") == "paused"
        if mark is not None and is_count(batches):
            yield MarkRecord(mark[0], batches, _line(mark[1]))


def _described(event: Mapping[str, Any], *, is_paused: bool) -> tuple[str, str] | None:
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
        case {"kind": "state", "state": "running"} if is_paused:
            return "resume", "resumed"
        case {"kind": "state", "state": ("finished" | "stopped") as state}:
            return "end", state
        case {"kind": "error", "error": Mapping() as error}:
            return "error", f"failed: {error.get('message', '')}"
        case _:
            return None


def _change(change: HyperparameterChange) -> str:
    before = "(not set)" if change.before is None else change.before
    now = "(not set)" if change.now is None else change.now
    return f"{change.name}: {before} → {now}"


def _line(text: str) -> str:
    return shortened(one_line(text), _MOST_TEXT)
