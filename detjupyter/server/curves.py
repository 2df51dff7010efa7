"""The exact curves of a run, with those of the runs that it continues, kept for the next zoom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from detjupyter.errors import RunNotFoundError
from detjupyter.protocol.records import FloatArray
from detjupyter.store.lineage import ancestors

if TYPE_CHECKING:
    from detjupyter.protocol.states import Group
    from detjupyter.store.base import BatchArray, Store

    Curves = dict[tuple[Group, str], tuple[BatchArray, FloatArray]]

MOST_POINTS_KEPT = 4_000_000
"""16 bytes each; the curves of a longer run are read again for every request."""


class CurveCache:
    """Reads the curves of runs, and keeps those of the last one: a user who zooms asks for one range after the other.

    Thread: every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, int] | None = None
        self._curves: Curves = {}

    def read(self, store: Store, run_id: str) -> Curves:
        """Return every curve of the run; the arrays must not be changed.

        Raises:
            RunNotFoundError: There is no such run.
        """
        key = run_id, store.change_token()  # before reading: what is written in between makes the next key another one
        with self._lock:
            if self._key == key:
                return self._curves
        curves = _read(store, run_id)
        with self._lock:
            is_kept = sum(len(batches) for batches, _ in curves.values()) <= MOST_POINTS_KEPT
            self._key, self._curves = (key, curves) if is_kept else (None, {})
        return curves


def _read(store: Store, run_id: str) -> Curves:
    # imports a compiled library, which a server that shows no curve never needs
    from detjupyter.store.series import drop_replaced

    curves = _own(store, run_id)
    for ancestor in reversed(ancestors(store, run_id)):
        try:
            earlier = _own(store, ancestor.run_id)
        except RunNotFoundError:  # deleted since: the others are still there
            continue
        for key, curve in earlier.items():
            batches, values = _up_to(ancestor.batches_trained, *curve)
            if key in curves:
                later_batches, later_values = curves[key]
                batches, values = drop_replaced(np.append(batches, later_batches), np.append(values, later_values))
            curves[key] = batches, values
    return curves


def _own(store: Store, run_id: str) -> Curves:
    return {(group, name): store.series(run_id, group, name) for group, name in store.series_names(run_id)}


def _up_to(batch: int, batches: BatchArray, values: FloatArray) -> tuple[BatchArray, FloatArray]:
    kept = batches <= batch
    return batches[kept], values[kept]
