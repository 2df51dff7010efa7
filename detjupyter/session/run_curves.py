"""The curves that a session shows: those of its run, and before them those of the run that it continues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from detjupyter.protocol.events import MetricsReported, Moved
from detjupyter.protocol.records import RunParent, SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store.lineage import continued
from detjupyter.store.series import SessionCurves

if TYPE_CHECKING:
    from detjupyter.store.series import Cursors


class RunCurves:
    """The bounded curves of one run. A run continues another one if it began with a restore of a checkpoint of that run.

    Thread: not locked; the caller holds its own lock during every call.

    Attributes:
        missing: The run that this one continues, until its curves are shown.
    """

    def __init__(self) -> None:
        self.missing: RunParent | None = None
        self._curves = SessionCurves()
        self._has_trained = False
        self._parent: RunParent | None = None
        self._inherited_to = -1  # the last batch whose points may be those of the parent

    def add_report(self, event: MetricsReported) -> None:
        """Append the training metrics of a report."""
        self._has_trained = True
        self._inherited_to = min(self._inherited_to, int(event.batches[0]) - 1)  # an earlier checkpoint was restored since
        self._curves.extend_all(Group.TRAINING, event.points())

    def add_validation(self, batch: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of a validation."""
        at = np.array([batch], dtype=np.float64)
        for name, value in metrics.items():
            self._curves.extend(Group.VALIDATION, name, at, np.array([value]))

    def move(self, event: Moved, run_id: str | None) -> None:
        """Hide the points after the batch of a restored checkpoint; before the first batch, choose the run that ``run_id`` continues."""
        if not self._has_trained:
            restored = None if event.run_id is None else RunParent(event.run_id, event.batches_trained)
            parent = None if restored is None else continued(run_id, restored, self._parent)
            if parent is not self._parent:
                self._curves.clear()
                self._parent = self.missing = parent
                self._inherited_to = -1 if parent is None else parent.batches_trained
        self._curves.cut(event.batches_trained)

    def inherit(self, parent: RunParent, curves: SessionCurves) -> None:
        """Show ``curves`` before those of this run, unless it continues another run than ``parent`` by now."""
        if parent is self.missing:
            self.missing = None
            curves.cut(self._inherited_to)
            self._curves.put_before(curves)

    def patches(self, cursors: Cursors) -> list[SeriesPatch]:
        """Return the new points since ``cursors``, and advance the cursors."""
        return self._curves.patches(cursors)

    def own(self) -> list[SeriesPatch]:
        """Return the curves without the points of the run that this one continues."""
        own = []
        for patch in self._curves.patches({}):
            # A validation right after the restore has the batch of the checkpoint.
            first = self._inherited_to + (0 if patch.group is Group.VALIDATION else 1)
            is_own = patch.batches >= first
            own.append(replace(patch, batches=patch.batches[is_own], values=patch.values[is_own]))
        return own

    def newest(self) -> dict[str, dict[str, float]]:
        """Return the last value of each curve that has one, by group and name."""
        return {group.value: values for group, values in self._curves.newest().items()}
