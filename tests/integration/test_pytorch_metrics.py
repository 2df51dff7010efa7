"""What becomes of the metrics that a trial returns: a row per batch, averages for callbacks, one number per validation."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from support.definition import Definition

from detjupyter.errors import TrialError
from detjupyter.pytorch import Reducer
from detjupyter.pytorch.callback_metrics import average_metrics, host_rows
from detjupyter.pytorch.host import column, host, stack
from detjupyter.pytorch.validation_reducer import reduce_metrics, require_values, without_bytes


class TestAverages:
    """Averages over the batches of a reporting period."""

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([1.0, 2.0, 6.0], 3.0),
            ([np.array(1.0, dtype=np.float32), np.array(2.0, dtype=np.float32)], 1.5),
            ([np.array([1.0, 3.0]), np.array([5.0, 7.0])], 4.0),
            ([1, None, 3], 2.0),
            ([True, False], 0.5),
            ([float("inf"), 1.0], float("inf")),
            ([float("nan"), 1.0], float("nan")),
            ([Decimal("1.5"), Decimal("2.5")], 2.0),
            ([None, None], None),
            (["a", "b"], None),
            (["1.5", "2.5"], None),
            ([1.0, "2"], None),
            ([np.zeros(2), np.zeros(3)], None),
            ([{"a": 1}, {"a": 2}], None),
            ([np.zeros(0), np.zeros(0)], None),
            ([[1, 2], [3, 6]], 3.0),
        ],
    )
    def test_an_average_is_taken_of_whatever_the_trial_returned(self, values: list[Any], expected: float | None) -> None:
        """The mean over batches and all elements; None where there is none, and the name stays."""
        averages = average_metrics([{"metric": value} for value in values])
        assert list(averages) == ["metric"]
        assert averages["metric"] == (pytest.approx(expected, nan_ok=True) if expected is not None else None)

    def test_batches_count_the_same_however_large(self) -> None:
        """A plain average, not one over records."""
        assert average_metrics([{"loss": 0.0}, {"loss": 1.0}]) == {"loss": 0.5}

    def test_no_batches_have_no_averages(self) -> None:
        """An empty dict."""
        assert average_metrics([]) == {}

    def test_batches_of_different_metrics_are_refused(self) -> None:
        """The batch is named, and both lists."""
        expected = r"Batch 0 of the reporting period returned \['loss'\], batch 2 returned \['accuracy', 'loss'\]"
        with pytest.raises(TrialError, match=expected):
            average_metrics([{"loss": 1.0}, {"loss": 1.0}, {"loss": 1.0, "accuracy": 1.0}])


class TestRowsOnTheHost:
    """What callbacks get to see of each batch."""

    def test_tensors_become_arrays_of_their_type(self) -> None:
        """Tensors without dimensions are converted, too; other values do not change."""
        rows = host_rows(
            [
                {"loss": torch.tensor(1.5, requires_grad=True), "hits": torch.tensor([1, 2]), "name": "a", "none": None},
                {"loss": torch.tensor(2.5), "hits": torch.tensor([3, 4]), "name": "b", "none": None},
            ]
        )
        assert [list(row) for row in rows] == [["loss", "hits", "name", "none"]] * 2
        assert [(type(row["loss"]), row["loss"].shape, row["loss"].dtype) for row in rows] == [(np.ndarray, (), np.float32)] * 2
        assert [row["hits"].tolist() for row in rows] == [[1, 2], [3, 4]]
        assert [row["name"] for row in rows] == ["a", "b"]

    def test_types_that_numpy_has_not_are_widened(self) -> None:
        """Mixed precision gives such."""
        (row,) = host_rows([{"loss": torch.tensor(1.5, dtype=torch.bfloat16)}])
        assert (row["loss"].dtype, float(row["loss"])) == (np.float32, 1.5)

    @pytest.mark.parametrize("second", [torch.tensor([1.0, 2.0]), torch.tensor(1, dtype=torch.int64), 1.0, None, "text"])
    def test_metrics_that_change_their_kind_come_one_by_one(self, second: Any) -> None:
        """Nothing is lost of either."""
        one, two = host_rows([{"metric": torch.tensor(0.5)}, {"metric": second}])
        assert one["metric"] == np.float32(0.5)
        expected = second.numpy() if isinstance(second, torch.Tensor) else second
        assert np.array_equal(two["metric"], expected)

    def test_a_metric_crosses_once_for_all_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each crossing is a wait for the device."""
        crossings: list[tuple[int, ...]] = []
        cpu = torch.Tensor.cpu

        def spy(tensor: torch.Tensor) -> torch.Tensor:
            crossings.append(tuple(tensor.shape))
            return cpu(tensor)

        monkeypatch.setattr(torch.Tensor, "cpu", spy)
        rows = host_rows([{"loss": torch.tensor(float(index)), "pair": torch.zeros(2)} for index in range(50)])
        assert crossings == [(50,), (50, 2)]
        assert [float(row["loss"]) for row in rows] == list(range(50))

    def test_the_rows_given_stay_as_they_are(self) -> None:
        """Others hold them, too."""
        row = {"loss": torch.tensor(1.0)}
        host_rows([row])
        assert isinstance(row["loss"], torch.Tensor)


class TestStacking:
    """One validation metric of all batches."""

    @pytest.mark.parametrize(
        ("values", "error", "words"),
        [
            ([1.0, None], TypeError, "Batch 1 returned None."),
            ([None, 1.0], TypeError, "Batch 0 returned None."),
            ([torch.tensor(1.0), None], TypeError, "Batch 1 returned None."),
            ([1.0, "1.5"], TypeError, "Batch 1 returned a value of type str."),
            (["1.5", "2.5"], TypeError, "Batch 0 returned a value of type str."),
            ([b"1", b"2"], TypeError, "Batch 0 returned a value of type bytes."),
            ([{"a": 1}], TypeError, "Batch 0 returned a value of type dict."),
            ([torch.tensor([1j])], TypeError, "Batch 0 returned an array of type complex64."),
            ([torch.zeros(2), torch.zeros(3)], ValueError, r"shape \(2,\), batch 1 one of shape \(3,\)"),
            ([np.zeros(2), 1.0], ValueError, r"shape \(2,\), batch 1 one of shape \(\)"),
            ([torch.zeros(0), torch.zeros(0)], ValueError, "Batch 0 returned an empty array."),
        ],
    )
    def test_what_is_no_number_is_refused_by_its_batch(self, values: list[Any], error: type[Exception], words: str) -> None:
        """And by what it is."""
        with pytest.raises(error, match=words):
            stack(values)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([torch.tensor(1.0), torch.tensor(2)], [1, 2]),
            ([True, False], [1, 0]),
            ([torch.tensor(True), torch.tensor(False)], [1, 0]),
            ([1, torch.tensor(2.5, requires_grad=True), np.float32(0.5)], [1, 2.5, 0.5]),
            ([[1, 2], (3, 4)], [[1, 2], [3, 4]]),
            ([float("nan"), float("inf")], [np.nan, np.inf]),
            ([Decimal("0.5"), 1], [0.5, 1]),
        ],
    )
    def test_numbers_of_all_kinds(self, values: list[Any], expected: Any) -> None:
        """As float64."""
        stacked = stack(values)
        assert stacked.dtype == np.float64
        np.testing.assert_array_equal(stacked, np.array(expected, dtype=np.float64))

    def test_text_that_spells_a_number_is_no_curve(self) -> None:
        """It remains text."""
        assert column(["1.5", "2.5"]) is None
        np.testing.assert_array_equal(column([0.5, "2.5"]), np.array([0.5, np.nan]))  # type: ignore[arg-type]

    def test_complex_numbers_stay_complex(self) -> None:
        """Half of one would be a wrong number."""
        assert host(torch.tensor([1 + 2j])).dtype == np.complex64
        assert column([torch.tensor(1j), torch.tensor(2j)]) is None


class TestReduction:
    """Of a validation."""

    def test_each_metric_its_own_way(self) -> None:
        """A dict of reducers."""
        stacked = {"a": np.array([1.0, 5.0]), "b": np.array([1.0, 5.0]), "c": np.array([1.0, 5.0]), "d": np.array([1.0, 5.0])}
        reducers = {"a": Reducer.AVG, "b": Reducer.SUM, "c": Reducer.MAX, "d": Reducer.MIN}
        assert reduce_metrics(stacked, reducers) == {"a": 3.0, "b": 6.0, "c": 5.0, "d": 1.0}

    @pytest.mark.parametrize("reducer", list(Reducer))
    def test_nan_stays(self, reducer: Reducer) -> None:
        """A model that has diverged says so."""
        assert np.isnan(reduce_metrics({"a": np.array([1.0, np.nan])}, reducer)["a"])

    def test_the_results_are_numbers_of_numpys_and_of_pythons(self) -> None:
        """Callbacks call ``.item()`` on them, others write them as JSON."""
        value = reduce_metrics({"a": np.array([1.0, 2.0])}, Reducer.AVG)["a"]
        assert isinstance(value, float)
        assert value.item() == 1.5  # type: ignore[attr-defined]

    @pytest.mark.parametrize("reducer", [None, "AVG", 1])
    def test_what_is_no_reducer_is_refused(self, reducer: Any) -> None:
        """For all metrics alike."""
        with pytest.raises(TrialError, match="which is not a Reducer"):
            reduce_metrics({"a": np.zeros(1)}, reducer)

    def test_names_of_any_kind_are_listed(self) -> None:
        """Numbers as names do not hide the mistake behind another."""
        with pytest.raises(TrialError, match=r"\['1', 'loss'\].*\['error'\]"):
            reduce_metrics({"error": np.zeros(1)}, {"loss": Reducer.AVG, 1: Reducer.AVG})  # type: ignore[dict-item]

    def test_bytes_are_left_out_with_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        """Everything else stays, text and arrays too."""
        with caplog.at_level(logging.WARNING, logger="detjupyter"):
            assert without_bytes({"a": 1, "picture": b"PNG", "more": bytearray(1), "text": "b"}) == {"a": 1, "text": "b"}
        assert [record.getMessage() for record in caplog.records] == ["Metrics that are bytes were left out: 'picture', 'more'."]

    def test_none_is_no_metric(self) -> None:
        """Named."""
        require_values({"a": 0.0, "b": "text"})
        with pytest.raises(TrialError, match="'b' must have a value"):
            require_values({"a": 0.0, "b": None})

    @pytest.mark.parametrize(
        ("returned", "words"),
        [
            ('{"error": None}', "'error'.*\n.*Batch 0 returned None"),
            ('{"error": torch.zeros(len(x) if x[0] < 0 else 2)}', r"'error'.*\n.*shape \(20,\), batch 1 one of shape \(2,\)"),
            ('{"error": "bad"}', "'error'.*\n.*Batch 0 returned a value of type str"),
        ],
    )
    def test_a_validation_says_which_metric_of_which_batch(self, line: Definition, returned: str, words: str) -> None:
        """When it is reduced."""
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', f"return {returned}")
        with pytest.raises(TrialError, match=words):
            line.load().validate()


class TestReducers:
    """How validation metrics become one number."""

    @pytest.mark.parametrize(
        ("reducer", "expected"), [(Reducer.AVG, 29.9 / 6), (Reducer.SUM, 29.9), (Reducer.MAX, 25.5), (Reducer.MIN, 0.25)]
    )
    def test_determineds_own_test_vectors_are_reduced_alike(self, reducer: Reducer, expected: float) -> None:
        """A plain average over batches, sum, largest, smallest."""
        stacked = {"metric": stack([torch.tensor(value) for value in (0.25, 0.5, 0.75, 1, 25.5, 1.9)])}
        assert reduce_metrics(stacked, reducer)["metric"] == pytest.approx(expected)
        assert reduce_metrics(stacked, {"metric": reducer})["metric"] == pytest.approx(expected)

    def test_all_elements_count(self) -> None:
        """A metric that is a vector in each batch becomes one number, too."""
        stacked = {"metric": stack([np.array([1.0, 2.0]), np.array([3.0, 6.0])])}
        assert reduce_metrics(stacked, Reducer.AVG) == {"metric": 3.0}

    def test_reducers_for_other_metrics_are_refused(self) -> None:
        """The error names both lists, and a value that is not a reducer."""
        with pytest.raises(TrialError, match=r"\['loss'\].*\['error'\]"):
            reduce_metrics({"error": np.zeros(1)}, {"loss": Reducer.AVG})
        with pytest.raises(TrialError, match="'mean' for 'error'") as raised:
            reduce_metrics({"error": np.zeros(1)}, {"error": "mean"})  # type: ignore[dict-item]
        assert "Reducer.AVG" in (raised.value.hint or "")


class TestColumns:
    """Training metrics of many batches, brought to the host."""

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([torch.tensor(1.0), torch.tensor(2.0)], [1, 2]),
            ([torch.tensor([1.0, 3.0]), torch.tensor([5.0, 7.0])], [2, 6]),
            ([torch.tensor([1.0, 3.0]), torch.tensor([5.0])], [2, 5]),
            ([torch.tensor(True), torch.tensor(False)], [1, 0]),
            ([torch.tensor(1.0, dtype=torch.bfloat16), torch.tensor(2, dtype=torch.int8)], [1, 2]),
            ([1, 2.5], [1, 2.5]),
            ([1, torch.tensor(2.0)], [1, 2]),
            ([None, torch.tensor(2.0), None], [np.nan, 2, np.nan]),
            ([np.float32(1.5), np.array([2.0, 3.0])], [1.5, 2.5]),
            (["text", 2.0], [np.nan, 2]),
            ([float("inf"), float("nan")], [np.inf, np.nan]),
            (["text", "more"], None),
            ([None, None], None),
            ([{"a": 1}, {"a": 2}], None),
            ([torch.zeros(0), torch.zeros(0)], None),
            ([[torch.ones(1, requires_grad=True) * 2], [torch.ones(1, requires_grad=True) * 2]], None),
        ],
    )
    def test_whatever_the_trial_returns(self, values: list[Any], expected: list[float] | None) -> None:
        """Numbers of all kinds; the mean of several; NaN where there is none; nothing at all for text."""
        found = column(values)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            np.testing.assert_array_equal(found, np.array(expected, dtype=np.float64))
