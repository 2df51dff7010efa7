"""Trials that return very many metrics: what is kept of a batch, what reaches the host, and what is recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support.transfers import Transfers

from detjupyter.pytorch.callback_metrics import average_metrics, host_rows
from detjupyter.pytorch.rows import MANY, columns, keep_row

if TYPE_CHECKING:
    from support.definition import Definition


class Scaled(torch.Tensor):
    """A tensor of a class of the user."""


def of_graph(number: float) -> torch.Tensor:
    """Return a result that has a graph, as a loss has."""
    return torch.tensor(number, requires_grad=True) * 1


#: How a trial may give a number, and what is recorded of it.
NUMBERS: dict[str, tuple[Callable[[float], Any], Callable[[float], float]]] = {
    "float32": (torch.tensor, np.float32),
    "a result of the graph": (of_graph, np.float32),
    "a parameter": (lambda number: torch.nn.Parameter(torch.tensor(number)), np.float32),
    "float64": (lambda number: torch.tensor(number, dtype=torch.float64), float),
    "float16": (lambda number: torch.tensor(number, dtype=torch.float16), np.float16),
    "bfloat16": (lambda number: torch.tensor(number, dtype=torch.bfloat16), lambda number: torch.tensor(number).bfloat16().item()),
    "int64": (lambda number: torch.tensor(2**53 - int(number)), lambda number: 2**53 - int(number)),
    "bool": (lambda number: torch.tensor(number > 1), lambda number: number > 1),
    "a vector": (lambda number: torch.tensor([number, 3 * number]), lambda number: np.float32(number) * 2),
    "a vector of one": (lambda number: torch.tensor([number]), np.float32),
    "an element of a vector": (lambda number: torch.tensor([0.0, number])[1], np.float32),
    "a class of the user's": (lambda number: torch.tensor(number).as_subclass(Scaled), np.float32),
    "a number of Python's": (float, float),
    "a number of numpy's": (np.float32, np.float32),
    "an array": (lambda number: np.array([number, number]), float),
    "a decimal": (lambda number: Decimal(number), float),
    "nothing": (lambda _: None, lambda _: math.nan),
}
NO_NUMBERS: dict[str, Any] = {"text": "0.5", "complex": torch.tensor(1j), "an object": object(), "a dict": {"a": 1}}


class TestRows:
    """Rows of more metrics than are kept one by one."""

    @pytest.mark.parametrize("kind", NUMBERS)
    @pytest.mark.parametrize("others", ["alone", "among others"])
    def test_a_number_of_any_kind_is_recorded_as_it_was(self, kind: str, others: str) -> None:
        """The values have the precision of the type that the trial returned, regardless of the types of the other metrics."""
        make, expected = NUMBERS[kind]
        numbers = np.random.default_rng(1).uniform(0, 2, (3, MANY)).tolist()
        more: dict[str, Any] = {} if others == "alone" else {f"other {index}": torch.tensor(0.5) for index in range(MANY)}
        rows = [keep_row({**{f"{index}": make(number) for index, number in enumerate(of_batch)}, **more}) for of_batch in numbers]
        found = columns(rows)
        for index in range(MANY if kind != "nothing" else 0):
            wanted = [float(expected(number)) for number in (of_batch[index] for of_batch in numbers)]
            np.testing.assert_allclose(found[str(index)], wanted, rtol=1e-7 if kind == "a vector" else 0, strict=True)
        assert list(found) == [*([] if kind == "nothing" else map(str, range(MANY))), *more]

    def test_all_kinds_in_one_row(self) -> None:
        """Every metric has its value, values that are not numbers are left out, and the order is that of the trial."""
        kinds = list(NUMBERS) * 3
        rows = [
            keep_row({**{f"{kind} {index}": NUMBERS[kind][0](number) for index, kind in enumerate(kinds)}, **NO_NUMBERS})
            for number in (0.3, 1.7)
        ]
        found = columns(rows)
        given = [(f"{kind} {index}", kind) for index, kind in enumerate(kinds) if kind != "nothing"]
        assert list(found) == [*(name for name, _ in given), "a dict/a"]
        for name, kind in given:
            np.testing.assert_allclose(found[name], [float(NUMBERS[kind][1](number)) for number in (0.3, 1.7)], rtol=1e-7)
        assert all(values.dtype == np.float64 for values in found.values())

    def test_a_metric_may_change_its_kind_and_be_missing(self) -> None:
        """Where a batch does not have it, or has no number, there is NaN."""
        many = {f"{index}": torch.tensor(float(index)) for index in range(MANY)}
        rows: list[dict[str, Any]] = [
            {**many, "some": torch.tensor(1.0)},
            {**many, "some": 2.5},
            {**many},
            {"some": torch.tensor(3, dtype=torch.int64), **many},
            {"some": 4.0, "0": torch.tensor(7.0)},
            {**many, "some": None},
            {**many, "some": "text"},
            {**many, "some": torch.tensor([5.0, 7.0]), "late": torch.tensor(1.0)},
        ]
        found = columns([keep_row(row) for row in rows])
        nan = math.nan
        assert list(found) == [*many, "some", "late"]
        np.testing.assert_array_equal(found["some"], [1, 2.5, nan, 3, 4, nan, nan, 6])
        np.testing.assert_array_equal(found["late"], [nan] * 7 + [1])
        np.testing.assert_array_equal(found["0"], [0, 0, 0, 0, 7, 0, 0, 0])
        np.testing.assert_array_equal(found["1"], [1, 1, 1, 1, nan, 1, 1, 1])

    def test_types_do_not_mix(self) -> None:
        """An integer that float32 cannot represent is exact even next to float32 metrics, and even if other batches returned float32."""
        exact = 2**24 + 1
        small = {f"{index}": torch.tensor(0.5) for index in range(MANY)}
        rows = [keep_row({**small, "count": torch.tensor(exact)}), keep_row({**small, "count": torch.tensor(1.5)})]
        assert columns(rows)["count"].tolist() == [exact, 1.5]

    @pytest.mark.parametrize("names", [range(MANY), [(index, "a") for index in range(MANY)], [f"a/b {index} é\n" for index in range(MANY)]])
    def test_names_of_any_kind(self, names: Any) -> None:
        """A number or a tuple as a name is recorded as text."""
        assert list(columns([keep_row({name: torch.tensor(1.0) for name in names})])) == list(map(str, names))

    @pytest.mark.parametrize("others", [0, MANY])
    def test_nested_metrics_are_recorded_by_their_path(self, others: int) -> None:
        """Their tensors are kept as they were in their batch, like all others."""
        more = {f"{index}": torch.tensor(0.5) for index in range(others)}
        total = torch.zeros(())
        rows = []
        for _ in range(2):
            rows.append(keep_row({**more, "box": {"total": total, "deep": {"er": of_graph(2.0)}}}))
            total.add_(1)
        found = columns(rows)
        assert list(found) == [*more, "box/total", "box/deep/er"]
        assert found["box/total"].tolist() == [0, 1]
        assert rows[0]["box/deep/er"].grad_fn is None

    def test_a_tensor_that_the_trial_changes_later_is_kept_as_it_was(self) -> None:
        """Running sums, for example: leaves, results, and parameters that the optimizer changes."""
        own = {f"{index}": torch.zeros(()) for index in range(MANY)}
        own["a parameter"] = torch.nn.Parameter(torch.zeros(()))
        own["a vector"] = torch.zeros(2)
        rows = []
        for _ in range(3):
            rows.append(keep_row(own))
            with torch.no_grad():
                for tensor in own.values():
                    tensor.add_(1)
        for values in columns(rows).values():
            assert values.tolist() == [0, 1, 2]

    def test_a_row_reads_like_what_the_trial_returned(self) -> None:
        """Callbacks get such rows; its tensors hold no graph."""
        given = {"text": "a", **{f"{index}": of_graph(float(index)) for index in range(MANY)}, "none": None, "pair": torch.tensor([1, 2])}
        row = keep_row(given)
        assert list(row) == list(given)
        assert (len(row), row["text"], row["none"], row.get("missing"), "missing" in row) == (len(given), "a", None, None, False)
        assert all(row[f"{index}"].shape == () and row[f"{index}"].item() == index for index in range(MANY))
        assert all(row[name].grad_fn is None and not row[name].requires_grad for name in given if isinstance(row[name], torch.Tensor))
        assert average_metrics(host_rows([row, row]))["3"] == 3.0

    @pytest.mark.parametrize(
        "place", [lambda tensor: tensor.to("meta"), lambda tensor: tensor.to_sparse()], ids=["without memory", "sparse"]
    )
    def test_tensors_that_have_no_number_at_hand_are_left_out(self, place: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """The other metrics of the batch are recorded."""
        strange = {f"strange {index}": place(torch.tensor(1.0)) for index in range(MANY)}
        rows = [keep_row({**strange, **{f"{index}": torch.tensor(2.0) for index in range(MANY)}})]
        assert {name: values.tolist() for name, values in columns(rows).items()} == {f"{index}": [2.0] for index in range(MANY)}


class TestCosts:
    """What grows with the number of metrics, counted in operations of the device."""

    def test_a_batch_waits_for_nothing_and_copies_all_its_metrics_at_once(self) -> None:
        """Neither a value nor a copy of a tensor crosses while a row is kept."""
        result = {f"{index}": torch.tensor(float(index)) for index in range(1000)}
        with Transfers() as transfers:
            keep_row(result)
        assert transfers.count == {"stack": 1}

    def test_a_report_crosses_once_for_all_metrics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many; each type crosses by itself."""
        crossings: list[tuple[int, ...]] = []
        cpu = torch.Tensor.cpu

        def spy(tensor: torch.Tensor) -> torch.Tensor:
            crossings.append(tuple(tensor.shape))
            return cpu(tensor)

        monkeypatch.setattr(torch.Tensor, "cpu", spy)
        result = {f"{index}": torch.tensor(float(index)) for index in range(1000)}
        columns([keep_row(result) for _ in range(5)])
        columns([keep_row({**result, "count": torch.tensor(1)}) for _ in range(5)])
        assert crossings == [(5, 1000), (5, 1000), (5, 1)]


def test_a_training_with_very_many_metrics_is_recorded_value_by_value(line: Definition) -> None:
    """In the history and in the live view; a metric that only some batches have has points there alone, and a NaN that was given is one."""
    line.edit(
        'return {"loss": loss}',
        """metrics = {f"layer {index}": torch.tensor(batch_idx + index / 8) for index in range(300)}
        metrics["nan"] = torch.tensor(float("nan"))
        if batch_idx % 3 == 0:
            metrics["third"] = torch.tensor(float(batch_idx))
            metrics["mixed"] = batch_idx
        return {"loss": loss, "rate": 0.5, **metrics}""",
    )
    session = line.load()
    session.train(batches=7, wait=True)
    live = {
        patch.name: (patch.batches.tolist(), patch.values.tolist()) for patch in session.channel.patches({}) if patch.group == "training"
    }
    everywhere = list(range(1, 8))
    for name, batches, values in (
        ("layer 0", everywhere, [float(index) for index in range(7)]),
        ("layer 299", everywhere, [index + 299 / 8 for index in range(7)]),
        ("rate", everywhere, [0.5] * 7),
        ("nan", everywhere, [math.nan] * 7),
        ("third", [1, 4, 7], [0, 3, 6]),
        ("mixed", [1, 4, 7], [0, 3, 6]),
    ):
        recorded = session.metrics(name)
        np.testing.assert_array_equal(recorded[0], batches, err_msg=name)
        np.testing.assert_array_equal(recorded[1], values, err_msg=name)
        assert live[name][0] == batches
        np.testing.assert_array_equal(live[name][1], values, err_msg=name)
    assert len(live) == 305
    assert session.record().latest["training"]["layer 1"] == 6 + 1 / 8
