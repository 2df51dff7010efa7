"""What happened in a run, for the marks on its charts, and when its batches were trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detjupyter.protocol.records import MarkRecord, StoryRecord
from detjupyter.server.reloads import reload_changes
from detjupyter.store.export.times import known_times
from detjupyter.store.marks import marks_of, most_important

if TYPE_CHECKING:
    from detjupyter.store.base import Store

MOST_MARKS = 2_000
MOST_TIMES = 2_000
_NOT_MARKED = ("resume", "end")
"""What a chart says in another way: a training is resumed where it was paused, and ends where its curves end."""


def story_of(store: Store, run_id: str) -> StoryRecord:
    """Return the marks of a run, in the order of their batches, and the times between which those of its batches are interpolated.

    Of more than 2,000 marks, validations and checkpoints give way first, then the earliest.

    Raises:
        RunNotFoundError: There is no such run.
    """
    run, events = store.run(run_id), store.events(run_id)
    code_changes = reload_changes(store.home, run, events)
    marks = [_with_code(mark, code_changes) for mark in marks_of(run, events) if mark.kind not in _NOT_MARKED]
    batches, times = known_times(run, events)
    if len(batches) > MOST_TIMES:
        kept = np.linspace(0, len(batches) - 1, MOST_TIMES).astype(np.int64)
        batches, times = batches[kept], times[kept]
    batches_per_epoch = run.session.batches_per_epoch if run.session is not None else None
    return StoryRecord(tuple(most_important(marks, MOST_MARKS)), batches.astype(np.float64), times, batches_per_epoch)


def _with_code(mark: MarkRecord, changes: dict[int, str]) -> MarkRecord:
    """Return the mark of a reload with the changed lines of code; several reloads after the same batch are one change."""
    lines = changes.pop(mark.batches_trained, "") if mark.kind == "reload" else ""
    return replace(mark, text=f"{mark.text}\n{lines}") if lines else mark
