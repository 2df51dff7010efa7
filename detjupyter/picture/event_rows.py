"""The events of several runs next to each other: a row for each batch after which something happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detjupyter.picture.numbers import format_count
from detjupyter.protocol.records import MarkRecord
from detjupyter.store.marks import OFTEN, most_important

_MOST_EVENTS = 200
_MOST_ROWS = 100


@dataclass(frozen=True, slots=True)
class EventRow:
    """What happened in each run after ``batch`` batches; an empty text for a run in which nothing did."""

    batch: int
    texts: tuple[str, ...]


def event_rows(events: Sequence[Sequence[MarkRecord]]) -> tuple[list[EventRow], str]:
    """Return the rows in the order of batches, and a note on what is left out, empty if nothing is.

    Where there is too little room, validations and checkpoints give way first, then the earliest events.
    """
    shown = [most_important(marks, _MOST_EVENTS) for marks in events]
    if len(_batches(shown)) > _MOST_ROWS:
        shown = [[mark for mark in marks if mark.kind not in OFTEN] for marks in shown]
    batches = _batches(shown)[-_MOST_ROWS:]
    rows = [
        EventRow(batch, tuple("; ".join(mark.text for mark in marks if mark.batches_trained == batch) for marks in shown))
        for batch in batches
    ]
    first = batches[0] if batches else 0
    left_out = sum(map(len, events)) - sum(mark.batches_trained >= first for marks in shown for mark in marks)
    return rows, f"{format_count(left_out)} more events are not shown." if left_out else ""


def _batches(events: Sequence[Sequence[MarkRecord]]) -> list[int]:
    return sorted({mark.batches_trained for marks in events for mark in marks})
