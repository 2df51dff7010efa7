"""Curves of bounded size for views: what a chart of a few thousand pixels can show, and never less than the eye must see.

``decimate`` thins a curve; ``BoundedSeries`` thins itself as it grows; ``SeriesBoard`` holds the curves of one session and tells each
view what it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import FloatArray, SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store.base import BatchArray

DEFAULT_LIMIT = 4000
# tsdownsample panics with fewer than two buckets; first and last point come on top.
_FEWEST_POINTS = 6

AnyBatches = TypeVar("AnyBatches", BatchArray, FloatArray)


def decimate(batches: FloatArray, values: FloatArray, points: int) -> tuple[FloatArray, FloatArray]:
    """Return about ``points`` of the points of a curve, at least 6, still ascending; a curve that is short enough comes back as it is.

    The range of batches is cut into buckets of equal width, so that thinning a curve again and again, as it grows, does not thin its
    beginning more than its end. Kept are the first and the last point of the curve and, of every bucket, the least and the greatest
    finite value and the first NaN, +inf and -inf: at most ``points`` finite points, and up to three others per two of them.

    Args:
        batches: (N,) strictly ascending.
        values: (N,).
        points: How many points the result should have.
    """
    points = max(points, _FEWEST_POINTS)
    if len(batches) <= points:
        return batches, values
    buckets = (points - 2) // 2
    finite = np.isfinite(values)
    kept = [np.array([0, len(batches) - 1]), _extremes(batches, values, finite, buckets), _non_finite(batches, values, finite, buckets)]
    indices = np.unique(np.concatenate(kept))
    return batches[indices], values[indices]


def drop_overtaken(batches: AnyBatches, values: FloatArray) -> tuple[AnyBatches, FloatArray]:
    """Return the points, in the order they were recorded, without those that a later point overtook by a smaller or equal batch.

    That is the rule for curves after a restore: the later points replace the earlier ones from their batch on. ``batches`` (N,) of the
    result is strictly ascending.
    """
    if len(batches) < 2:
        return batches, values
    least_later = np.minimum.accumulate(batches[:0:-1])[::-1]
    kept = np.append(batches[:-1] < least_later, True)
    return (batches, values) if kept.all() else (batches[kept], values[kept])


class BoundedSeries:
    """One curve that never holds more than ``limit`` points.

    Points are kept as they come until there are more than ``limit``, then thinned to about half of it by :func:`decimate`. A point whose
    batch is not greater than those before (after a restore) replaces the earlier points from that batch on.

    Thread: not locked; the owner's lock is held around every call.

    Attributes:
        generation: Counts how often points that were already there went away; while it stays, the curve has only grown at its end.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 4 * _FEWEST_POINTS:
            raise ValueError(f"a curve needs room for at least {4 * _FEWEST_POINTS} points, not {limit}")
        self.generation = 0
        self._limit = limit
        self._batches = np.empty(limit, np.float64)
        self._values = np.empty(limit, np.float64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, batches: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Append points: both (N,), converted to float64."""
        new_batches, new_values = drop_overtaken(np.asarray(batches, np.float64), np.asarray(values, np.float64))
        if len(new_batches) != len(new_values):
            raise ValueError(f"{len(new_batches)} batches and {len(new_values)} values")
        if not len(new_batches):
            return
        self._cut_before(new_batches[0])
        total = self._count + len(new_batches)
        if total > self._limit:
            self._compact(np.append(self._batches[: self._count], new_batches), np.append(self._values[: self._count], new_values))
            return
        self._batches[self._count : total] = new_batches
        self._values[self._count : total] = new_values
        self._count = total

    def tail(self, start: int = 0) -> tuple[FloatArray, FloatArray]:
        """Return copies of the points from index ``start`` on."""
        return self._batches[start : self._count].copy(), self._values[start : self._count].copy()

    def _cut_before(self, batch: float) -> None:
        kept = int(np.searchsorted(self._batches[: self._count], batch))
        if kept < self._count:
            self._count = kept
            self.generation += 1

    def _compact(self, batches: FloatArray, values: FloatArray) -> None:
        points = self._limit // 2
        batches, values = decimate(batches, values, points)
        # NaN and infinities come on top of `points`; a curve full of them must leave room too, or every append would compact again.
        while len(batches) > self._limit * 3 // 4 and points > _FEWEST_POINTS:
            points //= 2
            batches, values = decimate(batches, values, points)
        self._count = len(batches)
        self._batches[: self._count] = batches
        self._values[: self._count] = values
        self.generation += 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """How much of a curve a view has: the first ``count`` points of that ``generation``."""

    generation: int
    count: int


Cursors = dict[tuple[Group, str], Cursor]


class SeriesBoard:
    """The curves of one session, bounded, in the order in which they appeared.

    Thread: not locked; the owner's lock is held around every call.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._curves: dict[tuple[Group, str], BoundedSeries] = {}

    def extend(self, group: Group, name: str, batches: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Append points to the curve ``name``, which is made if it is new: both (N,)."""
        curve = self._curves.get((group, name))
        if curve is None:
            curve = self._curves[group, name] = BoundedSeries(self._limit)
        curve.extend(batches, values)

    def patches(self, cursors: Cursors) -> list[SeriesPatch]:
        """Return what a view lacks that has seen up to ``cursors``, and move these on; an empty dict asks for everything.

        A curve that only grew comes from where the view stands; one that was thinned or cut comes whole (``start`` 0). The arrays are
        copies.
        """
        patches = []
        for key, curve in self._curves.items():
            seen = cursors.get(key)
            start = seen.count if seen is not None and seen.generation == curve.generation else 0
            if len(curve) > start:
                patches.append(SeriesPatch(*key, start, *curve.tail(start)))
            cursors[key] = Cursor(curve.generation, len(curve))
        return patches


def _extremes(batches: FloatArray, values: FloatArray, finite: npt.NDArray[np.bool_], buckets: int) -> npt.NDArray[np.intp]:
    """Return the indices of each bucket's least and greatest finite value."""
    import tsdownsample

    module: Any = tsdownsample  # Any: it has no types
    where = None if finite.all() else np.flatnonzero(finite)
    if where is not None:
        batches, values = batches[where], values[where]
    if len(values) <= 2 * buckets:
        found = np.arange(len(values))
    else:
        picked = module.MinMaxDownsampler().downsample(np.ascontiguousarray(batches), np.ascontiguousarray(values), n_out=2 * buckets)
        found = np.asarray(picked, dtype=np.intp)
    return found if where is None else where[found]


def _non_finite(batches: FloatArray, values: FloatArray, finite: npt.NDArray[np.bool_], buckets: int) -> npt.NDArray[np.intp]:
    """Return the indices of each bucket's first NaN, first +inf and first -inf."""
    where = np.flatnonzero(~finite)
    if not len(where):
        return where
    span = float(batches[-1] - batches[0])
    bucket = np.minimum((batches[where] - batches[0]) * (buckets / span), buckets - 1).astype(np.int64)
    kind = np.where(np.isnan(values[where]), 0, np.where(values[where] > 0, 1, 2))
    _, first = np.unique(bucket * 3 + kind, return_index=True)
    return where[first]
