"""Curves of bounded size: what they may forget, and what never."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detjupyter.protocol.records import SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store.series import BoundedSeries, Cursor, SessionCurves, decimate, drop_replaced

MILLION = 1_000_000
Curve = tuple[np.ndarray, np.ndarray]


def walk(seed: int, count: int) -> Curve:
    """Return a random walk of ``count`` points with irregular batches."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.integers(1, 5, count)).astype(np.float64), np.cumsum(rng.normal(size=count))


def with_gaps(seed: int, count: int, share: float) -> Curve:
    """Return a walk in which ``share`` of the values are NaN or infinite."""
    rng = np.random.default_rng(seed)
    batches, values = walk(seed, count)
    values[rng.random(count) < share] = math.nan
    values[rng.random(count) < share / 2] = math.inf
    values[rng.random(count) < share / 2] = -math.inf
    return batches, values


class TestDecimate:
    """One curve, thinned once."""

    @pytest.mark.parametrize("seed", range(20))
    def test_it_keeps_the_ends_and_the_extremes_and_the_order(self, seed: int) -> None:
        """For any curve, and never with a point that was not in it."""
        rng = np.random.default_rng(seed)
        batches, values = walk(seed, int(rng.integers(2, 20_000)))
        points = int(rng.integers(6, 2000))
        thin_batches, thin_values = decimate(batches, values, points)
        assert len(thin_batches) <= max(points, 6)
        assert (np.diff(thin_batches) > 0).all()
        assert {thin_batches[0], thin_batches[-1]} == {batches[0], batches[-1]}
        assert (thin_values.min(), thin_values.max()) == (values.min(), values.max())
        where = np.searchsorted(batches, thin_batches)
        assert (batches[where] == thin_batches).all()
        assert (values[where] == thin_values).all()

    @pytest.mark.parametrize("share", [0.0001, 0.1, 0.9, 1.0])
    @pytest.mark.parametrize("seed", range(5))
    def test_what_is_not_finite_never_vanishes(self, seed: int, share: float) -> None:
        """Where a curve has a NaN or an infinity, the thinned one has it within a bucket's width; the first of all is kept exactly."""
        batches, values = with_gaps(seed, 20_000, share)
        points = 200
        thin_batches, thin_values = decimate(batches, values, points)
        buckets = (points - 2) // 2
        assert len(thin_batches) <= points + 3 * buckets
        width = (batches[-1] - batches[0]) / buckets
        for kind in (np.isnan, np.isposinf, np.isneginf):
            lost, kept = batches[kind(values)], thin_batches[kind(thin_values)]
            if len(lost):
                assert lost[0] == kept[0]
                nearest = kept[np.maximum(np.searchsorted(kept, lost, side="right") - 1, 0)]
                assert (np.abs(lost - nearest) <= width + 1e-6).all()
        finite = values[np.isfinite(values)]
        if len(finite):
            thin_finite = thin_values[np.isfinite(thin_values)]
            assert (thin_finite.min(), thin_finite.max()) == (finite.min(), finite.max())

    def test_short_curves_come_back_as_they_are(self) -> None:
        """Empty, single and just short enough ones."""
        for count in (0, 1, 2, 100):
            batches, values = walk(1, count)
            assert decimate(batches, values, 100) == (batches, values) if count == 0 else decimate(batches, values, 100)[0] is batches

    def test_too_few_points_asked_for_is_six(self) -> None:
        """The ends and two buckets are the least a curve can be."""
        batches, values = walk(2, 1000)
        for points in (-1, 0, 1, 5):
            thin_batches, thin_values = decimate(batches, values, points)
            assert 4 <= len(thin_batches) <= 6
            assert thin_values.max() == values.max()

    def test_thinning_again_and_again_does_not_thin_the_beginning_more(self) -> None:
        """Halves of equal width hold about equally many points after a hundred rounds of growing and thinning."""
        rng = np.random.default_rng(3)
        batches, values = np.empty(0), np.empty(0)
        for number in range(100):
            batches = np.append(batches, np.arange(number * 1000 + 1, number * 1000 + 1001, dtype=np.float64))
            values = np.append(values, rng.normal(size=1000))
            batches, values = decimate(batches, values, 500)
        first_half = int((batches <= 50_000).sum())
        assert 0.4 < first_half / len(batches) < 0.6


class TestDropOvertaken:
    """Points that a restore took back."""

    @pytest.mark.parametrize("seed", range(10))
    def test_it_is_what_cutting_point_by_point_gives(self, seed: int) -> None:
        """The one-line rule against the plain loop."""
        rng = np.random.default_rng(seed)
        batches = rng.integers(0, 40, 60)
        values = rng.normal(size=60)
        kept: list[tuple[int, float]] = []
        for batch, value in zip(batches.tolist(), values.tolist(), strict=True):
            kept = [point for point in kept if point[0] < batch]
            kept.append((batch, value))
        result = drop_replaced(batches, values)
        assert list(zip(*(array.tolist() for array in result), strict=True)) == kept


class TestBoundedSeries:
    """One curve that thins itself."""

    @pytest.mark.parametrize("seed", range(5))
    def test_a_single_spike_among_a_million_points_survives(self, seed: int) -> None:
        """However often the curve was thinned since, with its exact batch and value; so do one NaN and one infinity."""
        rng = np.random.default_rng(seed)
        spike, dip, nan, infinity = rng.choice(MILLION, 4, replace=False)
        values = rng.normal(size=MILLION)
        values[[spike, dip, nan, infinity]] = [50.0, -50.0, math.nan, math.inf]
        curve = BoundedSeries(1000)
        start = 0
        while start < MILLION:
            end = min(start + int(rng.integers(1, 3000)), MILLION)
            curve.extend(np.arange(start, end), values[start:end])
            assert len(curve) <= 1000
            start = end
        held = dict(zip(*(array.tolist() for array in curve.tail()), strict=True))
        assert curve.reductions > 300
        assert curve.generation < 30
        assert (held[spike], held[dip], held[infinity]) == (50.0, -50.0, math.inf)
        assert math.isnan(held[nan])
        assert {0, MILLION - 1} <= set(held)

    @pytest.mark.parametrize("step", [1, 7])
    def test_its_points_are_as_dense_at_the_end_as_at_the_beginning(self, step: int) -> None:
        """As a chart needs them; the newest may be denser, until there are a quarter of the limit."""
        curve = BoundedSeries(1000)
        for start in range(0, 30_000, step):
            curve.extend(np.arange(start, start + step), np.sin(np.arange(start, start + step)))
        batches = curve.tail()[0][: curve.settled]
        counts, _ = np.histogram(batches, 10)
        assert 400 <= len(batches) <= 1000
        assert counts.max() < 1.3 * counts.min()

    def test_a_view_of_a_long_training_receives_few_points(self) -> None:
        """Twice those that arrived, and the whole curve when the training is twice as long."""
        board, view, sent, whole = SessionCurves(limit=1000), View(), 0, 0
        for start in range(0, 128_000, 50):
            board.extend(Group.TRAINING, "loss", np.arange(start, start + 50), np.sin(np.arange(start, start + 50)))
            patches = board.patches(view.cursors)
            view.apply(patches)
            sent += sum(len(patch.batches) for patch in patches)
            whole += sum(patch.start == 0 for patch in patches)
        late = View()
        late.apply(board.patches(late.cursors))
        assert view.equals(late)
        assert sent < 2 * 128_000
        assert whole <= 10

    def test_it_holds_every_point_until_there_are_too_many(self) -> None:
        """Then about half, and after that it grows again."""
        curve = BoundedSeries(100)
        curve.extend(np.arange(1, 101), walk(1, 100)[1])
        assert (len(curve), curve.generation) == (100, 0)
        curve.extend([101], [0.0])
        assert 40 <= len(curve) <= 50
        assert curve.generation == 1
        curve.extend([102], [0.0])
        assert curve.generation == 1

    @pytest.mark.parametrize("share", [0.5, 1.0])
    def test_a_curve_full_of_nan_stays_bounded_and_leaves_room(self, share: float) -> None:
        """It is not thinned at every append."""
        curve = BoundedSeries(100)
        batches, values = with_gaps(4, 20_000, share)
        for start in range(0, 20_000, 5):
            curve.extend(batches[start : start + 5], values[start : start + 5])
            assert len(curve) <= 100
        assert curve.generation < 4000 / 4
        assert np.isnan(curve.tail()[1]).any()

    def test_a_smaller_batch_replaces_what_was_from_there_on(self) -> None:
        """After a restore; the order stays ascending, within one append too."""
        curve = BoundedSeries(100)
        curve.extend([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
        curve.extend([3, 4], [-3, -4])
        assert curve.generation == 1
        assert [array.tolist() for array in curve.tail()] == [[1, 2, 3, 4], [1, 2, -3, -4]]
        curve.extend([5, 6, 2, 3], [-5, -6, 20, 30])
        assert [array.tolist() for array in curve.tail()] == [[1, 2, 3], [1, 20, 30]]
        curve.extend([0], [0])
        assert [array.tolist() for array in curve.tail()] == [[0], [0]]

    def test_appending_nothing_changes_nothing(self) -> None:
        """No points, no new generation."""
        curve = BoundedSeries(100)
        curve.extend([], [])
        assert (len(curve), curve.generation) == (0, 0)

    def test_mistakes_of_the_caller_are_reported(self) -> None:
        """Arrays of different lengths, and no room at all."""
        with pytest.raises(ValueError, match="2 batches and 1 values"):
            BoundedSeries().extend([1, 2], [1])
        with pytest.raises(ValueError, match="not 5"):
            BoundedSeries(5)


class View:
    """What a front end does with patches: keep the first ``start`` points, append the rest."""

    def __init__(self) -> None:
        self.cursors: dict[tuple[Group, str], Cursor] = {}
        self.curves: dict[tuple[Group, str], Curve] = {}

    def apply(self, patches: list[SeriesPatch]) -> None:
        """Apply ``patches``, each of which must say something new."""
        for patch in patches:
            batches, values = self.curves.get((patch.group, patch.name), (np.empty(0), np.empty(0)))
            assert patch.start <= len(batches)
            assert len(patch.batches)
            self.curves[patch.group, patch.name] = (
                np.append(batches[: patch.start], patch.batches),
                np.append(values[: patch.start], patch.values),
            )

    def equals(self, other: View) -> bool:
        """Return whether the two show the same, bit by bit."""
        return self.curves.keys() == other.curves.keys() and all(
            mine.tobytes() == theirs.tobytes()
            for key, curve in self.curves.items()
            for mine, theirs in zip(curve, other.curves[key], strict=True)
        )


class TestSeriesBoard:
    """The curves of a session, and what each view lacks of them."""

    @pytest.mark.parametrize("seed", range(10))
    def test_patches_replay_to_the_same_arrays(self, seed: int) -> None:
        """A view that reads rarely, one that always reads and one that reads at the end get the same curves, also after restores."""
        rng = np.random.default_rng(seed)
        board = SessionCurves(limit=60)
        always, seldom = View(), View()
        batch = 0
        for _ in range(300):
            if rng.random() < 0.03:
                batch = int(rng.integers(0, batch + 1))
            count = int(rng.integers(0, 12))
            batches = np.arange(batch + 1, batch + count + 1)
            batch += count
            values = np.where(rng.random(count) < 0.1, math.nan, rng.normal(size=count))
            board.extend(Group.TRAINING, "loss", batches, values)
            if rng.random() < 0.2 and batch:
                board.extend(Group.VALIDATION, "loss", [batch], [float(batch)])
            always.apply(board.patches(always.cursors))
            if rng.random() < 0.1:
                seldom.apply(board.patches(seldom.cursors))
        late = View()
        late.apply(board.patches(late.cursors))
        seldom.apply(board.patches(seldom.cursors))
        assert always.equals(late)
        assert seldom.equals(late)

    @pytest.mark.parametrize("seed", range(5))
    def test_many_curves_at_once_are_what_they_are_one_by_one(self, seed: int) -> None:
        """Whether they share their batches or not, also after a restore and where the batches are out of order."""
        random = np.random.default_rng(seed)
        one_by_one, together = SessionCurves(limit=30), SessionCurves(limit=30)
        for _ in range(20):
            shared = np.sort(random.choice(200, 10, replace=False)) if random.random() < 0.8 else random.integers(0, 200, 10)
            own = np.sort(random.choice(200, 4, replace=False))
            points = [(f"m{index}", batches, random.normal(size=len(batches))) for index, batches in enumerate((shared, own, shared))]
            points.append(("none", shared[:0], np.empty(0)))
            together.extend_all(Group.TRAINING, points)
            for name, batches, values in points:
                one_by_one.extend(Group.TRAINING, name, batches, values)
        for left, right in zip(one_by_one.patches({}), together.patches({}), strict=True):
            assert left.name == right.name
            np.testing.assert_array_equal(left.batches, right.batches)
            np.testing.assert_array_equal(left.values, right.values)

    def test_curves_of_many_metrics_share_no_memory_with_what_was_reported(self) -> None:
        """Views read the curves later."""
        board, batches, values = SessionCurves(), np.arange(3), np.ones(3)
        board.extend_all(Group.TRAINING, [("a", batches, values), ("b", batches, values)])
        batches += 10
        values += 10
        assert [(patch.batches.tolist(), patch.values.tolist()) for patch in board.patches({})] == [([0, 1, 2], [1, 1, 1])] * 2

    def test_a_view_receives_only_what_it_lacks(self) -> None:
        """New points start at the view's last point, a reduced curve is sent completely, an unchanged curve not at all."""
        board = SessionCurves(limit=40)
        cursors: dict[tuple[Group, str], Cursor] = {}
        board.extend(Group.TRAINING, "loss", np.arange(1, 31), np.ones(30))
        board.extend(Group.TRAINING, "accuracy", [1], [0.5])
        assert [(patch.name, patch.start, len(patch.batches)) for patch in board.patches(cursors)] == [("loss", 0, 30), ("accuracy", 0, 1)]
        assert board.patches(cursors) == []
        board.extend(Group.TRAINING, "loss", [31, 32], [1, 1])
        assert [(patch.name, patch.start, len(patch.batches)) for patch in board.patches(cursors)] == [("loss", 30, 2)]
        board.extend(Group.TRAINING, "loss", np.arange(33, 43), np.ones(10))
        (patch,) = board.patches(cursors)
        assert (patch.start, patch.batches[0], patch.batches[-1]) == (0, 1, 42)

    def test_patches_do_not_change_when_the_board_does(self) -> None:
        """They are sent after the owner's lock was given back."""
        board = SessionCurves(limit=40)
        board.extend(Group.TRAINING, "loss", [1, 2], [1, 2])
        (patch,) = board.patches({})
        board.extend(Group.TRAINING, "loss", [1], [9])
        assert patch.values.tolist() == [1, 2]
