"""What every store promises about curves (see ``detjupyter.store.base``)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.runs import make_run, points

from detjupyter.protocol.states import Group
from detjupyter.store import Store
from detjupyter.store.base import SeriesPoints
from detjupyter.store.series import cut_mark


class TestSeries:
    """Curves, whole and by their tail."""

    def test_points_come_back_in_order_whatever_the_chunks(self, store: Store) -> None:
        """Consecutive or not, NaN, infinities and the smallest numbers survive bit by bit."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 5, 0.1))
        odd = np.array([10, 12, 2**53 + 1]), np.array([math.nan, -math.inf, 5e-324])
        store.append_series("r1", Group.TRAINING, "loss", *odd)
        store.append_series("r1", Group.TRAINING, "loss", *points(2**53 + 2, 1))
        batches, values = store.series("r1", Group.TRAINING, "loss")
        assert batches.dtype == np.int64
        assert values.dtype == np.float64
        assert batches.tolist() == [1, 2, 3, 4, 5, 10, 12, 2**53 + 1, 2**53 + 2]
        assert values[5:8].tobytes() == odd[1].tobytes()

    def test_curves_are_distinguished_by_group_and_name(self, store: Store) -> None:
        """The names come in the order of the first points."""
        store.create_run(make_run())
        keys = [(Group.TRAINING, "loss"), (Group.VALIDATION, "loss"), (Group.TRAINING, "accuracy")]
        for factor, (group, name) in enumerate(keys):
            store.append_series("r1", group, name, *points(1, 2, factor))
        assert store.series_names("r1") == keys
        for factor, (group, name) in enumerate(keys):
            assert store.series("r1", group, name)[1].tolist() == [factor, 2 * factor]

    def test_a_curve_that_is_not_there_is_empty(self, store: Store) -> None:
        """A curve that was not reported (yet) is empty, not an error; appending no points is not an error either."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 0))
        batches, values = store.series("r1", Group.TRAINING, "loss")
        assert (batches.dtype, values.dtype, len(batches), len(values)) == (np.int64, np.float64, 0, 0)
        assert store.series_names("r1") == []

    def test_later_points_replace_the_earlier_ones_from_their_batch_on(self, store: Store) -> None:
        """After a restore the curve is that of the weights at hand."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 10))
        store.append_series("r1", Group.TRAINING, "loss", *points(4, 3, -1.0))
        batches, values = store.series("r1", Group.TRAINING, "loss")
        assert batches.tolist() == [1, 2, 3, 4, 5, 6]
        assert values.tolist() == [1, 2, 3, -4, -5, -6]

    def test_a_restore_ends_the_curve_at_once(self, store: Store) -> None:
        """With the mark of the restore, before later points; of two restores in a row, the second one counts."""
        store.create_run(make_run())
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 10))
        store.append_series("r1", Group.TRAINING, "loss", np.array([cut_mark(4)]), np.array([np.nan]))
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [1, 2, 3, 4]
        store.append_series("r1", Group.TRAINING, "loss", np.array([cut_mark(8)]), np.array([np.nan]))
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [*range(1, 9)]
        store.append_series("r1", Group.TRAINING, "loss", np.array([cut_mark(6), cut_mark(8)]), np.array([0.0, np.nan]))
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [*range(1, 7)]
        store.append_series("r1", Group.TRAINING, "loss", *points(12, 1))
        store.append_series("r1", Group.TRAINING, "loss", np.array([cut_mark(0)]), np.array([np.nan]))
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == []
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 1))
        assert store.series("r1", Group.TRAINING, "loss")[0].tolist() == [1]

    def test_the_tail_is_read_by_cursor(self, store: Store) -> None:
        """Every point is read once; curves of other runs do not show."""
        for run_id in ("r1", "r2"):
            store.create_run(make_run(run_id))
        cursor, news = store.series_since("r1", 0)
        assert news == []
        store.append_series("r1", Group.TRAINING, "loss", *points(1, 2))
        store.append_series("r1", Group.VALIDATION, "loss", *points(2, 1))
        store.append_series("r2", Group.TRAINING, "loss", *points(1, 9))
        store.append_series("r1", Group.TRAINING, "loss", *points(3, 2))
        cursor, news = store.series_since("r1", cursor)
        assert [(group, name, batches.tolist()) for group, name, batches, _ in news] == [
            (Group.TRAINING, "loss", [1, 2, 3, 4]),
            (Group.VALIDATION, "loss", [2]),
        ]
        assert store.series_since("r1", cursor) == (cursor, [])
        store.append_series("r1", Group.TRAINING, "loss", *points(2, 1, -1.0))
        cursor, news = store.series_since("r1", cursor)
        assert [batches.tolist() for _, _, batches, _ in news] == [[2]]

    def test_what_the_caller_does_with_his_buffers_later_changes_nothing(self, store: Store) -> None:
        """Drivers use their buffers again."""
        store.create_run(make_run())
        batches, values = points(1, 3)
        store.append_series("r1", Group.TRAINING, "loss", batches, values)
        values[:] = -1
        read = store.series("r1", Group.TRAINING, "loss")[1]
        read[:] = -2
        assert store.series("r1", Group.TRAINING, "loss")[1].tolist() == [1, 2, 3]

    def test_arrays_that_do_not_fit_each_other_are_refused(self, store: Store) -> None:
        """The error names the shapes of the arrays that the caller passed."""
        store.create_run(make_run())
        with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
            store.append_series("r1", Group.TRAINING, "loss", points(1, 2)[0], points(1, 3)[1])

    def test_many_curves_are_written_at_once(self, store: Store) -> None:
        """They appear in the order given, whether they share their batches or not; the cursor sees one write."""
        store.create_run(make_run())
        shared, values = points(1, 3)
        gaps = np.array([2, 4, 9])
        curves = [
            SeriesPoints(Group.TRAINING, "b", shared, values),
            SeriesPoints(Group.TRAINING, "a", shared, values * 2),
            SeriesPoints(Group.TRAINING, "gaps", gaps, values),
            SeriesPoints(Group.TRAINING, "empty", shared[:0], values[:0]),
            SeriesPoints(Group.VALIDATION, "a", shared[:1], values[:1]),
            SeriesPoints(Group.TRAINING, "also gaps", gaps, values * 3),
        ]
        store.append_points("r1", curves)
        store.append_points("r1", [])
        written = [curve for curve in curves if curve.name != "empty"]
        assert store.series_names("r1") == [(curve.group, curve.name) for curve in written]
        for curve in written:
            batches, found = store.series("r1", curve.group, curve.name)
            assert (batches.tolist(), found.tolist()) == (curve.batches.tolist(), curve.values.tolist())

    def test_many_curves_are_written_or_none(self, store: Store) -> None:
        """A curve that does not fit keeps the others out, also one that shares its batches with a good one."""
        store.create_run(make_run())
        batches, values = points(1, 2)
        bad = SeriesPoints(Group.TRAINING, "bad", batches, points(1, 3)[1])
        with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
            store.append_points("r1", [SeriesPoints(Group.TRAINING, "good", batches, values), bad])
        assert store.series_names("r1") == []

    def test_ten_thousand_names_are_as_good_as_one(self, store: Store) -> None:
        """Every curve has its own values, names that are not Unicode among them."""
        store.create_run(make_run())
        batches, values = points(1, 2)
        names = [f"layer {number} ü" for number in range(9_999)]
        store.append_points("r1", [SeriesPoints(Group.TRAINING, name, batches, values + n) for n, name in enumerate([*names, "\udcff"])])
        assert store.counts("r1").points == 20_000
        assert store.series("r1", Group.TRAINING, names[7_000])[1].tolist() == [7_001.0, 7_002.0]
        assert len(store.series_names("r1")) == 10_000
