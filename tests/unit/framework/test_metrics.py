"""What a metric's value and its name tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detjupyter.framework.metrics import flatten, improves_to, scalars, single_numbers, unrecorded


def test_numbers_and_means_of_numbers_are_recorded_and_nothing_else() -> None:
    """Arrays, lists, numpy numbers and booleans; not text, ragged lists and other objects, which are named with their kind."""
    ragged = [[1, 2], [3]]
    metrics = {
        "a": 1,
        "b": np.float32(2.5),
        "c": np.array([[3.0]]),
        "d": True,
        "e": "x",
        "f": [1, 2],
        "g": None,
        "h": ragged,
        "i": b"x",
        "j": object(),
        "k": np.array([]),
    }
    assert scalars(metrics) == {"a": 1.0, "b": 2.5, "c": 3.0, "d": 1.0, "f": 1.5}
    assert single_numbers(metrics) == {"a": 1.0, "b": 2.5, "c": 3.0, "d": 1.0}
    kinds = {"e": "text", "h": "list", "i": "bytes", "j": "object", "k": "ndarray, empty"}
    assert unrecorded(metrics) == kinds
    assert unrecorded({"big": 10**400, "c": 1j, "none": None}) == {"big": "int, too large", "c": "complex"}


def test_a_single_number_may_be_an_array_of_another_library() -> None:
    """Whatever its attribute ``size`` is: that of torch's tensors is a method."""

    class Tensor:
        def __init__(self, *values: float) -> None:
            self._values = values

        def size(self) -> tuple[int, ...]:
            return (len(self._values),)

        def __array__(self, *_: Any, **__: Any) -> Any:
            return np.array(self._values)

    assert single_numbers({"one": Tensor(0.5), "two": Tensor(0.5, 1.5)}) == {"one": 0.5}


def test_a_tensor_of_a_graph_is_a_number() -> None:
    """Scripts report a loss as it is; so are tensors of types that numpy does not have."""
    torch = pytest.importorskip("torch")
    live = torch.ones(2, requires_grad=True)
    given = {"live": (live * 3).sum(), "pair": live, "half": torch.tensor(0.5, dtype=torch.bfloat16)}
    assert scalars(given) == {"live": 6.0, "pair": 1.0, "half": 0.5}
    assert single_numbers(given) == {"live": 6.0, "half": 0.5}
    assert unrecorded({"complex": live * 1j, "empty": live[:0]}) == {"complex": "Tensor", "empty": "Tensor, empty"}


def test_nested_metrics_are_named_by_their_path() -> None:
    """At any depth, with names of any kind; a dict that contains itself is not followed there, and of two equal names the first counts."""
    given: dict[Any, Any] = {"val": {"a": 0.5, "b": {"c": 1.5, 7: [1, 2]}}, "val/a": 9, ("x", 1): 2, None: 3, "empty": {}}
    flat = {"val/a": 0.5, "val/b/c": 1.5, "val/b/7": [1, 2], "('x', 1)": 2, "None": 3, "empty": {}}
    assert flatten(given) == flat
    assert scalars(given) == {"val/a": 0.5, "val/b/c": 1.5, "val/b/7": 1.5, "('x', 1)": 2.0, "None": 3.0}
    assert unrecorded(given) == {"empty": "dict, empty"}
    given["self"] = given["val"]["above"] = given
    given["val"]["here"] = given["val"]
    assert scalars(given)["val/a"] == 0.5
    assert unrecorded(given) == {"empty": "dict, empty", "self": "dict", "val/above": "dict", "val/here": "dict"}


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("loss", "smaller"),
        ("val_loss", "smaller"),
        ("accuracy", "larger"),
        ("val-acc", "larger"),
        ("F1", "larger"),
        ("mAP_50", "larger"),
        ("mape", "smaller"),
        ("dice_loss", "smaller"),
        ("top1_error", "smaller"),
        ("perplexity", "smaller"),
        ("something", "smaller"),
    ],
)
def test_names_tell_which_way_is_better(name: str, way: str) -> None:
    """A loss of something good is still a loss."""
    assert improves_to(name) == way
