"""Curves of bounded size for views: as many points as a chart of a few thousand pixels can show, including all extremes.

``decimate`` reduces a curve; ``BoundedSeries`` reduces itself as it grows; ``SessionCurves`` contains the curves of one session and
computes the patches for each view.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import FloatArray, SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store.base import BatchArray

DEFAULT_LIMIT = 4000
# tsdownsample panics with fewer than two buckets; the first and the last point are added.
_FEWEST_POINTS = 6
_FIRST_ROOM = 32
_DIFFERENT_LIMITS = 16
_SETTLED_BUCKETS = 16

AnyBatches = TypeVar("AnyBatches", BatchArray, FloatArray)


def decimate(batches: FloatArray, values: FloatArray, points: int) -> tuple[FloatArray, FloatArray]:
    """Return about ``points`` points of a curve, at least 6, in ascending order; a short curve is returned unchanged.

    The range of batches is divided into buckets of equal width, so that a growing curve can be reduced repeatedly without losing more
    points at its beginning than at its end. The result contains the first and the last point of the curve and, for every bucket, the
    smallest and the largest finite value and the first NaN, +inf and -inf: at most ``points`` finite points, and up to three others per two
    of them.

    Args:
        batches: (N,) strictly ascending.
        values: (N,).
        points: The number of points of the result.
    """
    points = max(points, _FEWEST_POINTS)
    if len(batches) <= points:
        return batches, values
    buckets = (points - 2) // 2
    finite = np.isfinite(values)
    kept = [np.array([0, len(batches) - 1]), _extremes(batches, values, finite, buckets), _non_finite(batches, values, finite, buckets)]
    indices = np.unique(np.concatenate(kept))
    return batches[indices], values[indices]


def drop_replaced(batches: AnyBatches, values: FloatArray) -> tuple[AnyBatches, FloatArray]:
    """Return the points in the order of recording, without those that a later point with a smaller or equal batch replaces.

    This is the rule for curves after a restore: later points replace the earlier ones from their batch on, and so does a mark of
    :func:`cut_mark`. A mark whose value is NaN does not count if another one follows it, so a restore of a later checkpoint shows the
    points up to it again. ``batches`` (N,) of the result is strictly ascending.
    """
    if not len(batches) or (batches[0] >= 0 and (batches[1:] > batches[:-1]).all()):
        return batches, values
    is_mark = batches < 0
    counts = ~(is_mark & np.append(is_mark[1:], False) & np.isnan(values))
    batches, values, is_mark = batches[counts], values[counts], is_mark[counts]
    batches = np.where(is_mark, -batches, batches)  # a mark replaces the points from the next batch on
    least_later = np.minimum.accumulate(batches[:0:-1])[::-1]
    kept = np.append(batches[:-1] < least_later, True) & ~is_mark
    return batches[kept], values[kept]


def cut_mark(batch: int) -> int:
    """Return the number that takes the place of a batch in a mark: a restore discarded the points after ``batch``.

    The value of the mark is NaN until the trial is trained further, since a later restore can show these points again. A second mark with
    another value follows then.
    """
    return -1 - batch


class BoundedSeries:
    """One curve that never has more than ``limit`` points.

    When it has more than ``limit`` points, :func:`decimate` reduces them to about half the limit. After that the newest points are reduced
    to the same number of points per batch whenever a quarter of the limit has arrived, so all points are reduced again only when the
    training is twice as long, and views receive the whole curve as rarely. A point whose batch is not greater than the earlier ones (after
    a restore) replaces the earlier points from that batch on. :meth:`cut` hides points, and the next point deletes them.

    Thread: not locked; the caller holds its own lock during every call.

    Attributes:
        generation: Counts how often points among the first ``settled`` ones were removed.
        reductions: Counts how often the points after the first ``settled`` ones were reduced. While it and the generation are unchanged,
            the curve has only grown at its end.
        settled: The number of points, from the first on, that remain in this generation.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        if limit < 4 * _FEWEST_POINTS:
            raise ValueError(f"a curve needs room for at least {4 * _FEWEST_POINTS} points, not {limit}")
        self.generation = 0
        self.reductions = 0
        self.settled = 0
        self._limit = limit
        self._bucket = 0.0  # batches per bucket of the settled points, once there are any
        self._batches = np.empty(0, np.float64)
        self._values = np.empty(0, np.float64)
        self._count = 0
        self._end: float | None = None  # the last batch that is shown

    def __len__(self) -> int:
        if self._end is None:
            return self._count
        return int(np.searchsorted(self._batches[: self._count], self._end, "right"))

    def extend(self, batches: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Append points and marks of :func:`cut_mark`: both (N,), converted to float64."""
        new_batches, new_values = np.asarray(batches, np.float64), np.asarray(values, np.float64)
        if len(new_batches) != len(new_values):
            raise ValueError(f"{len(new_batches)} batches and {len(new_values)} values")
        begin = 0
        for mark in np.flatnonzero(new_batches < 0).tolist():
            self._extend(new_batches[begin:mark], new_values[begin:mark])
            self.cut(-1 - new_batches[mark])
            if not np.isnan(new_values[mark]):
                self.settle()
            begin = mark + 1
        self._extend(new_batches[begin:], new_values[begin:])

    def cut(self, batch: float) -> None:
        """Hide the points after ``batch``, and show those up to it."""
        before, self._end = len(self), batch
        if len(self) != before:
            self.generation += 1

    def settle(self) -> None:
        """Delete the hidden points."""
        if self._end is not None:
            self._truncate(len(self))
            self._end = None

    def append(self, new_batches: FloatArray, new_values: FloatArray) -> None:
        """Append sorted points: both (N,) with N > 0, ``new_batches`` strictly ascending."""
        self.settle()
        self._cut_before(new_batches[0])
        total = self._count + len(new_batches)
        is_full = total > self._limit
        wants_reduction = self._bucket > 0 and (is_full or total - self.settled > self._limit // 4)
        if wants_reduction and self._reduce_newest(new_batches, new_values):
            return
        if is_full:
            self._compact(np.append(self._batches[: self._count], new_batches), np.append(self._values[: self._count], new_values))
            return
        if total > len(self._batches):
            self._make_room(total)
        self._batches[self._count : total] = new_batches
        self._values[self._count : total] = new_values
        self._count = total

    def prepend(self, batches: FloatArray, values: FloatArray) -> None:
        """Insert sorted points, both (N,), before all others; those that are not before the present first one are left out."""
        if self._count:
            kept = int(np.searchsorted(batches, self._batches[0]))
            batches, values = batches[:kept], values[:kept]
        if not len(batches):
            return
        batches, values = np.append(batches, self._batches[: self._count]), np.append(values, self._values[: self._count])
        if len(batches) > self._limit:
            self._compact(batches, values)
            return
        self._make_room(len(batches))
        self._count = self.settled = len(batches)
        self._batches[: self._count], self._values[: self._count] = batches, values
        self.generation += 1

    def tail(self, start: int = 0) -> tuple[FloatArray, FloatArray]:
        """Return copies of the points from index ``start`` on."""
        end = len(self)
        return self._batches[start:end].copy(), self._values[start:end].copy()

    def _extend(self, batches: FloatArray, values: FloatArray) -> None:
        batches, values = drop_replaced(batches, values)
        if len(batches):
            self.append(batches, values)

    def _make_room(self, points: int) -> None:
        """Allocate space for at least ``points``: a training with very many metrics must not allocate full curves at its start."""
        room = min(max(2 * points, _FIRST_ROOM), self._limit)
        batches, values = np.empty(room, np.float64), np.empty(room, np.float64)
        batches[: self._count], values[: self._count] = self._batches[: self._count], self._values[: self._count]
        self._batches, self._values = batches, values

    def _cut_before(self, batch: float) -> None:
        if not self._count or self._batches[self._count - 1] < batch:
            return
        kept = int(np.searchsorted(self._batches[: self._count], batch))
        if kept < self._count:
            self._truncate(kept)
            self.generation += 1

    def _truncate(self, kept: int) -> None:
        self._count, self.settled = kept, min(kept, self.settled)

    def _reduce_newest(self, new_batches: FloatArray, new_values: FloatArray) -> bool:
        """Append points and reduce all that are not settled; return False, with nothing done, if that leaves little room.

        They are settled when they fill some buckets. Before that, and thus in a long training several times, they are reduced again.
        """
        batches = np.append(self._batches[self.settled : self._count], new_batches)
        values = np.append(self._values[self.settled : self._count], new_values)
        buckets = math.ceil((batches[-1] - batches[0]) / self._bucket)
        batches, values = decimate(batches, values, 2 + 2 * buckets)
        total = self.settled + len(batches)
        if total > self._limit * 15 // 16:
            return False
        if total > len(self._batches):
            self._make_room(total)
        self._batches[self.settled : total] = batches
        self._values[self.settled : total] = values
        self._count = total
        self.reductions += 1
        if buckets >= _SETTLED_BUCKETS:
            self.settled = total
        return True

    def _compact(self, batches: FloatArray, values: FloatArray) -> None:
        points = self._limit // 2
        batches, values = decimate(batches, values, points)
        # NaN and infinities are added to `points`; even a curve full of them must leave room, or every append would compact again.
        while len(batches) > self._limit * 3 // 4 and points > _FEWEST_POINTS:
            points //= 2
            batches, values = decimate(batches, values, points)
        if len(batches) > len(self._batches):
            self._make_room(self._limit)
        self._count = self.settled = len(batches)
        self._batches[: self._count] = batches
        self._values[: self._count] = values
        self._bucket = (batches[-1] - batches[0]) / ((points - 2) // 2)
        self.generation += 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The part of a curve that a view has: its first ``count`` points after so many reductions; the first ``settled`` of them remain."""

    generation: int
    reductions: int
    settled: int
    count: int

    @classmethod
    def at_end_of(cls, curve: BoundedSeries) -> Cursor:
        """Return the cursor of a view that has the whole curve."""
        count = len(curve)
        return cls(curve.generation, curve.reductions, min(curve.settled, count), count)

    def start(self, curve: BoundedSeries) -> int:
        """Return the index of the first point that the view does not have."""
        if self.generation != curve.generation:
            return 0
        return self.count if self.reductions == curve.reductions else self.settled


Cursors = dict[tuple[Group, str], Cursor]
_NOTHING = Cursor(0, 0, 0, 0)


class SessionCurves:
    """The bounded curves of one session, in the order in which they appeared.

    Thread: not locked; the caller holds its own lock during every call.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._curves: dict[tuple[Group, str], BoundedSeries] = {}
        self._cut_at: int | None = None  # the points after this batch are hidden

    def extend(self, group: Group, name: str, batches: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Append points to the curve ``name``: both (N,)."""
        self._settle()
        self._curve(group, name).extend(batches, values)

    def extend_all(self, group: Group, points: Iterable[tuple[str, npt.NDArray[np.int64], FloatArray]]) -> None:
        """Append points to many curves, given as name, batches and values, both (N,).

        An array of batches that several curves share is converted and checked only once.
        """
        self._settle()
        last: npt.NDArray[np.int64] | None = None
        for name, batches, values in points:
            if batches is not last:
                last = batches
                shared = batches.astype(np.float64)
                is_ascending = len(shared) > 0 and bool((shared[1:] > shared[:-1]).all())
            if is_ascending and len(values) == len(shared):
                self._curve(group, name).append(shared, values)
            else:
                self._curve(group, name).extend(shared, values)

    def cut(self, batch: int) -> None:
        """Hide the points after ``batch`` in all curves: a restore discarded them. The next points, of any curve, delete them."""
        self._cut_at = batch
        for curve in self._curves.values():
            curve.cut(batch)

    def clear(self) -> None:
        """Delete all points; the curves keep their places, so that views learn of it."""
        self.cut(-1)
        self._settle()

    def put_before(self, earlier: SessionCurves) -> None:
        """Insert the points that ``earlier`` shows before those of each curve; its curves come first in the order."""
        self._curves = {key: self._curve(*key) for key in (*earlier._curves, *self._curves)}
        for key, curve in earlier._curves.items():
            self._curves[key].prepend(*curve.tail())
            if self._cut_at is not None:
                self._curves[key].cut(self._cut_at)

    def newest(self) -> dict[Group, dict[str, float]]:
        """Return the last value of each curve that has one, by group and name."""
        found: dict[Group, dict[str, float]] = {}
        for (group, name), curve in self._curves.items():
            if len(curve):
                found.setdefault(group, {})[name] = float(curve.tail(len(curve) - 1)[1][0])
        return found

    def _settle(self) -> None:
        if self._cut_at is not None:
            self._cut_at = None
            for curve in self._curves.values():
                curve.settle()

    def _curve(self, group: Group, name: str) -> BoundedSeries:
        """Return a curve, which is created if it does not exist.

        The limits differ a little: otherwise all curves of a training were reduced, and sent completely, at the same batch.
        """
        curve = self._curves.get((group, name))
        if curve is None:
            share = len(self._curves) % _DIFFERENT_LIMITS / _DIFFERENT_LIMITS
            curve = self._curves[group, name] = BoundedSeries(self._limit - int(share * self._limit / 4))
        return curve

    def patches(self, cursors: Cursors) -> list[SeriesPatch]:
        """Return the patches that a view with ``cursors`` needs, and advance the cursors; an empty dict returns everything.

        The patch of a curve that only grew starts at the view's last point, that of a curve whose newest points were reduced at the first
        of them; a curve that was reduced or cut as a whole is sent completely (``start`` 0). The arrays are copies.
        """
        patches = []
        for key, curve in self._curves.items():
            seen = cursors.get(key, _NOTHING)
            start = seen.start(curve)
            if start < max(len(curve), seen.count):
                patches.append(SeriesPatch(*key, start, *curve.tail(start)))
            cursors[key] = Cursor.at_end_of(curve)
        return patches


def _extremes(batches: FloatArray, values: FloatArray, finite: npt.NDArray[np.bool_], buckets: int) -> npt.NDArray[np.intp]:
    """Return the indices of each bucket's smallest and largest finite value."""
    import tsdownsample

    module: Any = tsdownsample  # Any: the package has no types
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
