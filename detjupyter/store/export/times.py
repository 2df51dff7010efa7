"""When the batches of a run were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import FloatArray

if TYPE_CHECKING:
    from detjupyter.store.base import Store


def times_of(store: Store, run_id: str, batches: npt.NDArray[np.int64]) -> FloatArray:
    """Return (N,) seconds since the epoch at which the run had trained ``batches`` (N,).

    The history has the times of events only: states, validations, checkpoints, commands. Between them the times are interpolated.

    Raises:
        RunNotFoundError: There is no such run.
    """
    record = store.run(run_id)
    known = [(int(event["batches_trained"]), float(event["at"])) for event in store.events(run_id) if _is_dated(event)]
    last_at = record.ended_at or record.updated_at
    points = np.array([(0, record.created_at), *known, (record.batches_trained, last_at)], dtype=np.float64)
    # A restore moves back to an earlier batch: what was trained last there is in the history.
    final = np.minimum.accumulate(points[::-1, 0])[::-1] >= points[:, 0]
    known_batches, at = points[final, 0], np.maximum.accumulate(points[final, 1])
    first = np.minimum(np.searchsorted(known_batches, batches), len(known_batches) - 1)  # the batch itself, not a later restore to it
    return np.where(known_batches[first] == batches, at[first], np.interp(batches, known_batches, at))


def _is_dated(event: dict[str, object]) -> bool:
    return isinstance(event.get("batches_trained"), int) and isinstance(event.get("at"), (int, float))
