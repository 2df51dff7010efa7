"""The runs that a run continues: it began with a restore of a checkpoint of another run, which may itself continue one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from detjupyter.errors import RunNotFoundError
from detjupyter.protocol.records import RunParent
from detjupyter.store.leftovers import is_count
from detjupyter.store.series import SessionCurves, cut_mark, drop_replaced

if TYPE_CHECKING:
    from detjupyter.protocol.records import FloatArray
    from detjupyter.protocol.states import Group
    from detjupyter.store.base import BatchArray, Store

MOVED_EVENT = "moved"
STATE_EVENT = "state"
_MOST = 100


def continued(run_id: str | None, restored: RunParent, before: RunParent | None) -> RunParent | None:
    """Return the run that a run continues after a restore that precedes its first batch.

    Args:
        run_id: The run, None if it has not begun.
        restored: The run and the batch of the restored checkpoint.
        before: The run that it continued until then. It still does after a restore of a checkpoint that it saved since.
    """
    if restored.run_id != run_id:
        return restored
    return before if before is not None and restored.batches_trained >= before.batches_trained else None


def parent_of(run_id: str, events: Iterable[Mapping[str, Any]]) -> RunParent | None:
    """Return the run that a run continues: one whose checkpoint was restored before the first batch. None if it continues none.

    A training that failed in its first batch does not count as trained. Events that are not as we write them are ignored.
    """
    found, restored_at = None, 0
    for event in events:
        batches, restored = event.get("batches_trained"), event.get("run_id")
        if not is_count(batches):
            continue
        if event.get("kind") == STATE_EVENT and batches > restored_at:
            break
        if event.get("kind") == MOVED_EVENT:
            restored_at = batches
            found = continued(run_id, RunParent(restored, batches), found) if isinstance(restored, str) else None
    return found


def ancestors(store: Store, run_id: str) -> list[RunParent]:
    """Return the parent of a run, its parent and so on, the oldest first; the list ends at a deleted one."""
    found: list[RunParent] = []
    seen = {run_id}
    while len(found) < _MOST:
        try:
            parent = parent_of(run_id, store.events(run_id))
        except RunNotFoundError:
            return found[:-1][::-1]
        if parent is None or parent.run_id in seen:
            break
        seen.add(parent.run_id)
        found.append(parent)
        run_id = parent.run_id
    return found[::-1]


def add_curves(curves: SessionCurves, store: Store, lineage: Iterable[RunParent]) -> None:
    """Append the points of the runs of ``lineage``, the oldest first, each up to the batch at which the next one continued it."""
    for run in lineage:
        try:
            _, pieces = store.series_since(run.run_id, 0)
        except RunNotFoundError:  # deleted: the others are still there
            continue
        for group, name, batches, values in pieces:
            curves.extend(group, name, batches, values)
        curves.cut(run.batches_trained)


def whole_series(store: Store, run_id: str) -> dict[tuple[Group, str], tuple[BatchArray, FloatArray]]:
    """Return all points of the curves of a run, which begin with those of the runs that it continues; curves without points are left out.

    For each curve, batches (N,) strictly ascending and values (N,).
    """
    pieces: dict[tuple[Group, str], list[tuple[BatchArray, FloatArray]]] = {}
    for run in ancestors(store, run_id):
        try:
            _add(pieces, store, run.run_id)
        except RunNotFoundError:  # deleted: the others are still there
            continue
        for parts in pieces.values():
            parts.append((np.array([cut_mark(run.batches_trained)]), np.zeros(1)))
    _add(pieces, store, run_id)
    joined = {key: drop_replaced(*map(np.concatenate, zip(*parts, strict=True))) for key, parts in pieces.items()}
    return {key: curve for key, curve in joined.items() if len(curve[0])}


def _add(pieces: dict[tuple[Group, str], list[tuple[BatchArray, FloatArray]]], store: Store, run_id: str) -> None:
    for group, name, batches, values in store.series_since(run_id, 0)[1]:
        pieces.setdefault((group, name), []).append((batches, values))


def whole_curves(store: Store, run_id: str) -> SessionCurves:
    """Return the curves of a run, which begin with those of the runs that it continues."""
    curves = SessionCurves()
    add_curves(curves, store, ancestors(store, run_id))
    for group, name, batches, values in store.series_since(run_id, 0)[1]:
        curves.extend(group, name, batches, values)
    return curves
