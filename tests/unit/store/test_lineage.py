"""The run that a run continues, from its events."""

from __future__ import annotations

from typing import Any

import pytest

from detjupyter.protocol.records import RunParent
from detjupyter.store.lineage import parent_of

RESTORED = {"kind": "moved", "run_id": "parent", "batches_trained": 5}
BEGAN = {"kind": "state", "state": "running", "batches_trained": 5}


@pytest.mark.parametrize(
    ("events", "parent"),
    [
        ([], None),
        ([RESTORED, BEGAN], RunParent("parent", 5)),
        ([{**BEGAN, "batches_trained": 0}, {**BEGAN, "state": "failed", "batches_trained": 0}, RESTORED], RunParent("parent", 5)),
        ([BEGAN, RESTORED], None),
        ([RESTORED, BEGAN, {**BEGAN, "state": "stopped", "batches_trained": 9}, {**RESTORED, "run_id": "later"}], RunParent("parent", 5)),
        ([RESTORED, {**RESTORED, "run_id": "run"}], RunParent("parent", 5)),
        ([RESTORED, {**RESTORED, "run_id": "run", "batches_trained": 0}], None),
        ([RESTORED, {**RESTORED, "run_id": None}], None),
        ([{**RESTORED, "batches_trained": "x"}, {"kind": "moved"}, {}, RESTORED], RunParent("parent", 5)),
        ([{**RESTORED, "batches_trained": float("nan")}, {**RESTORED, "batches_trained": -1}], None),
    ],
)
def test_the_parent_is_the_last_restore_before_the_first_batch(events: list[dict[str, Any]], parent: RunParent | None) -> None:
    """Damaged events are ignored."""
    assert parent_of("run", events) == parent
