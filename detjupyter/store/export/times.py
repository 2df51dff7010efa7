"""When the batches of a run were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import FloatArray, RunRecord
from detjupyter.store.leftovers import is_count, is_number

if TYPE_CHECKING:
    from detjupyter.store.base import Store


def known_times(record: RunRecord, events: Sequence[Mapping[str, object]]) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return the moments of a run that are known from its ``events``: batches trained (N,), ascending, and seconds since the epoch (N,).

    A batch occurs again where the run rested; where a restore moved back, only what was trained last counts.
    """
    known = [(event["batches_trained"], event["at"]) for event in events if _is_dated(event)]
    last_at = record.ended_at or record.updated_at
    points = np.array([(0, record.created_at), *known, (record.batches_trained, last_at)], dtype=np.float64)
    final = np.minimum.accumulate(points[::-1, 0])[::-1] >= points[:, 0]
    return points[final, 0].astype(np.int64), np.maximum.accumulate(points[final, 1])


def times_of(store: Store, run_id: str, batches: npt.NDArray[np.int64]) -> FloatArray:
    """Return (N,) seconds since the epoch at which the run had trained ``batches`` (N,).

    The history has the times of events only: states, validations, checkpoints, commands. Between them the times are interpolated.

    Raises:
        RunNotFoundError: There is no such run.
    """
    known_batches, at = known_times(store.run(run_id), store.events(run_id))
    first = np.minimum(np.searchsorted(known_batches, batches), len(known_batches) - 1)  # the batch itself, not a later restore to it
    return np.where(known_batches[first] == batches, at[first], np.interp(batches, known_batches, at))


def _is_dated(event: Mapping[str, object]) -> bool:
    return is_count(event.get("batches_trained")) and is_number(event.get("at"))
