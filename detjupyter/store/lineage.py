"""The runs that a run continues: it began with a restore of a checkpoint of another run, which may itself continue one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from detjupyter.errors import RunNotFoundError
from detjupyter.protocol.records import RunParent
from detjupyter.protocol.states import State

if TYPE_CHECKING:
    from detjupyter.store.base import Store

MOVED_EVENT = "moved"
STATE_EVENT = "state"
_MOST = 100


def parent_of(run_id: str, events: Iterable[Mapping[str, Any]]) -> RunParent | None:
    """Return the run that a run continues: one whose checkpoint was restored before the first batch. None if it continues none."""
    found = None
    for event in events:
        if event.get("kind") == MOVED_EVENT:
            is_other = event.get("run_id") not in (None, run_id)
            found = RunParent(event["run_id"], int(event["batches_trained"])) if is_other else None
        elif event.get("kind") == STATE_EVENT and event.get("state") == State.RUNNING.value:
            break
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
