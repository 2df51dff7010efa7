"""What becomes of metrics: averages for callbacks, one number for a validation, scalars for TensorBoard."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from detjupyter.errors import TrialError
from detjupyter.pytorch import Reducer
from detjupyter.pytorch.averages import average_metrics, host_rows
from detjupyter.pytorch.host import column, host, stack
from detjupyter.pytorch.reducer import reduce_metrics, require_values, without_bytes
from detjupyter.pytorch.tensorboard import TorchWriter, log_averages, log_training, log_validation

if TYPE_CHECKING:
    from integration.conftest import Definition


class TestAverages:
    """Over the batches of a stretch."""

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
    def test_of_whatever_the_trial_returned(self, values: list[Any], expected: float | None) -> None:
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
        with pytest.raises(TrialError, match=r"Batch 0 of the stretch gave \['loss'\], batch 2 gave \['accuracy', 'loss'\]"):
            average_metrics([{"loss": 1.0}, {"loss": 1.0}, {"loss": 1.0, "accuracy": 1.0}])


class TestRowsOnTheHost:
    """What callbacks get to see of each batch."""

    def test_tensors_become_arrays_of_their_type(self) -> None:
        """Those of no dimension, too; whatever else stays."""
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
            ([1.0, None], TypeError, "Batch 1 gave None."),
            ([None, 1.0], TypeError, "Batch 0 gave None."),
            ([torch.tensor(1.0), None], TypeError, "Batch 1 gave None."),
            ([1.0, "1.5"], TypeError, "Batch 1 gave a value of type str."),
            (["1.5", "2.5"], TypeError, "Batch 0 gave a value of type str."),
            ([b"1", b"2"], TypeError, "Batch 0 gave a value of type bytes."),
            ([{"a": 1}], TypeError, "Batch 0 gave a value of type dict."),
            ([torch.tensor([1j])], TypeError, "Batch 0 gave an array of type complex64."),
            ([torch.zeros(2), torch.zeros(3)], ValueError, r"shape \(2,\), batch 1 one of shape \(3,\)"),
            ([np.zeros(2), 1.0], ValueError, r"shape \(2,\), batch 1 one of shape \(\)"),
            ([torch.zeros(0), torch.zeros(0)], ValueError, "Batch 0 gave an empty array."),
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
        """It is text all the same."""
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
        with pytest.raises(TrialError, match="which is no Reducer"):
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
        with pytest.raises(TrialError, match="'b' has a value"):
            require_values({"a": 0.0, "b": None})

    @pytest.mark.parametrize(
        ("returned", "words"),
        [
            ('{"error": None}', "'error'.*\n.*Batch 0 gave None"),
            ('{"error": torch.zeros(len(x) if x[0] < 0 else 2)}', r"'error'.*\n.*shape \(20,\), batch 1 one of shape \(2,\)"),
            ('{"error": "bad"}', "'error'.*\n.*Batch 0 gave a value of type str"),
        ],
    )
    def test_a_validation_says_which_metric_of_which_batch(self, line: Definition, returned: str, words: str) -> None:
        """When it is reduced."""
        line.edit('return {"error": ((self.model(x) - y) ** 2).mean()}', f"return {returned}")
        with pytest.raises(TrialError, match=words):
            line.load().validate()


class Writer:
    """A ``SummaryWriter`` that keeps what it is given."""

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self.scalars: list[tuple[str, float, int]] = []
        self.closed = 0

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Keep it."""
        self.scalars.append((name, value, step))

    def close(self) -> None:
        """Count."""
        self.closed += 1


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package installed, as far as it matters here."""
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


class TestTensorBoard:
    """Names, steps, and what is left out."""

    def test_training_metrics_have_a_value_for_each_batch(self) -> None:
        """The step is the number of batches trained."""
        writer = Writer("")
        log_training(writer, np.array([3, 4]), {"loss": np.array([0.5, 0.25])})
        assert writer.scalars == [("Determined/loss", 0.5, 3), ("Determined/loss", 0.25, 4)]

    def test_averages_have_one(self) -> None:
        """Of numbers only."""
        writer = Writer("")
        log_averages(writer, 10, {"f1": np.float32(0.5), "table": np.zeros((2, 2)), "text": "a"})
        assert writer.scalars == [("Determined/f1", 0.5, 10)]

    def test_validation_metrics_are_told_apart(self) -> None:
        """By ``val_``, unless they begin so."""
        writer = Writer("")
        metrics: Mapping[str, Any] = {"error": 1.0, "val_loss": 2.0, "validation_accuracy": np.array(3.0), "table": np.zeros(2)}
        log_validation(writer, 7, metrics)
        assert writer.scalars == [
            ("Determined/val_error", 1.0, 7),
            ("Determined/val_loss", 2.0, 7),
            ("Determined/validation_accuracy", 3.0, 7),
        ]

    @pytest.mark.usefixtures("tensorboard")
    def test_a_trial_with_a_writer_has_its_metrics_there_too(self, line: Definition) -> None:
        """Once it asked for one; in a directory that exists."""
        line.edit("    def build_training", "        self.writer = context.get_tensorboard_writer()\n\n    def build_training")
        session = line.load()
        session.train(batches=3, wait=True)
        writer = session.trial.writer
        assert Path(writer.log_dir).is_dir()
        losses = session.metrics("loss")[1].tolist()
        assert writer.scalars[:3] == [("Determined/loss", loss, number) for number, loss in enumerate(losses, 1)]
        assert writer.scalars[3:] == [("Determined/val_error", session.metrics("error", "validation")[1][0], 3)]
        session.close()
        assert writer.closed == 1

    @pytest.mark.usefixtures("tensorboard")
    def test_a_trial_may_keep_its_writer_to_itself(self, line: Definition) -> None:
        """Its own calls still count."""
        line.edit(
            "    def build_training",
            "        context.set_enable_tensorboard_logging(False)\n"
            "        self.writer = context.get_tensorboard_writer()\n\n"
            "    def build_training",
        )
        session = line.load()
        session.train(batches=3, wait=True)
        assert session.trial.writer.scalars == []

    @pytest.mark.usefixtures("tensorboard")
    def test_the_writer_of_2020_is_made_when_it_is_used(self, tmp_path: Path) -> None:
        """And closed by ``reset``; without a directory it has one of its own."""
        own = TorchWriter(tmp_path)
        own.reset()
        own.add_scalar("a", 1.0, 2)
        assert own.writer.log_dir == str(tmp_path)
        assert own.writer.scalars == [("a", 1.0, 2)]
        own.reset()
        assert own.writer.closed == 1
        assert Path(TorchWriter().writer.log_dir).is_dir()

    def test_without_the_package_it_is_said_and_the_trial_trains(
        self, line: Definition, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What it writes is dropped, by the names of every year; a trial that asks for nothing hears nothing."""
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        line.load().train(batches=1, wait=True)
        assert not caplog.records
        line.edit("    def build_training", "        self.logger = context.get_tensorboard_writer()\n\n    def build_training")
        drawn = "self.logger.writer.add_image('a', x, batch_idx)\n        self.logger.add_scalar('b', 1.0)\n        loss ="
        line.edit("loss =", drawn)
        session = line.load()
        session.train(batches=2, wait=True)
        session.close()
        assert "tensorboard is not installed" in caplog.text
        with pytest.raises(AttributeError):
            session.trial.logger.sing()
