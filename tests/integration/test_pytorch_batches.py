"""What a batch may hold: how its values move to the device, and how many records it counts for."""

from __future__ import annotations

from collections import UserDict, namedtuple
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from detjupyter.pytorch import data_length, to_device


class TestToDevice:
    """Every tensor moves, nothing else changes."""

    def test_containers_are_walked_through(self) -> None:
        """Dicts, lists, tuples and named tuples keep their kind; a device that is already right costs no copy."""
        pair = namedtuple("pair", ["x", "y"])
        tensor = torch.zeros(2)
        moved = to_device({"a": [tensor, (tensor, pair(tensor, tensor))]}, torch.device("meta"))
        assert isinstance(moved["a"][1][1], pair)
        assert {leaf.device.type for leaf in (moved["a"][0], moved["a"][1][0], *moved["a"][1][1])} == {"meta"}
        assert to_device(tensor, torch.device("cpu")) is tensor

    @pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.int64, np.uint8, np.bool_])
    def test_numeric_arrays_become_tensors(self, dtype: Any) -> None:
        """Of the same values."""
        array = np.array([0, 1, 1], dtype=dtype)
        moved = to_device(array, torch.device("cpu"))
        assert isinstance(moved, torch.Tensor)
        assert moved.numpy().dtype == dtype
        np.testing.assert_array_equal(moved.numpy(), array)

    @pytest.mark.parametrize(
        "array",
        [
            np.arange(6.0)[::-1],
            np.arange(6.0).reshape(2, 3).T,
            np.broadcast_to(np.float32(1), (2, 3)),
            np.array([1, 2], dtype=">i4"),
            np.array(2.0),
        ],
    )
    def test_arrays_that_torch_does_not_take_as_they_are(self, array: Any) -> None:
        """Reversed, turned, not to be written to, of foreign byte order, of no dimension."""
        np.testing.assert_array_equal(to_device(array, torch.device("cpu")).numpy(), array)

    def test_a_mapping_of_any_kind_becomes_a_dict(self) -> None:
        """Of moved values."""
        moved = to_device(UserDict(x=torch.zeros(1), y=MappingProxyType({"z": torch.zeros(1)})), torch.device("meta"))
        assert (type(moved), type(moved["y"])) == (dict, dict)
        assert moved["y"]["z"].device.type == "meta"

    def test_what_knows_how_to_move_moves_itself(self) -> None:
        """A packed sequence is moved by its own method, because it is not one of the known containers."""
        packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(2), torch.zeros(1)])
        moved = to_device(packed, torch.device("meta"))
        assert moved.data.device.type == "meta"
        assert moved.batch_sizes.device.type == "cpu"

    @pytest.mark.parametrize("value", ["text", b"bytes", None, {1, 2}, np.array(["a", "b"])])
    def test_the_rest_stays_and_is_warned_of_once(self, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once for each type, not once for each batch."""
        monkeypatch.setattr("detjupyter.pytorch.data.batches._unmovable_types", set())
        with pytest.warns(UserWarning, match=type(value).__name__):
            assert to_device([value], torch.device("cpu"))[0] is value
        assert to_device((value,), torch.device("cpu"))[0] is value
        with pytest.warns(UserWarning, match=type(value).__name__):
            to_device({"of": value}, torch.device("cpu"), set())  # a caller's own memory of what it was warned of


class TestDataLength:
    """How many records a batch holds."""

    @pytest.mark.parametrize(
        "batch",
        [
            torch.zeros(3, 2),
            np.zeros((3, 2)),
            [torch.zeros(3), torch.zeros(9)],
            (np.zeros(3),),
            {"x": torch.zeros(3, 5), "y": torch.zeros(1)},
            {"words": ["a", "b", "c"], "y": torch.zeros(1)},
            UserDict(x=torch.zeros(3)),
            ([torch.zeros(9)] * 3, torch.zeros(1)),
        ],
    )
    def test_the_first_tensor_counts(self, batch: Any) -> None:
        """Of a container, its first value."""
        assert data_length(batch) == 3

    @pytest.mark.parametrize("batch", [[], (), {}])
    def test_an_empty_container_has_no_length(self, batch: Any) -> None:
        """It says so."""
        with pytest.raises(ValueError, match="empty"):
            data_length(batch)

    @pytest.mark.parametrize("batch", [5, "text", object(), None, torch.tensor(1.0), np.array(1.0)])
    def test_anything_else_is_refused_by_its_type(self, batch: Any) -> None:
        """And says what to override."""
        with pytest.raises(TypeError, match=rf"{type(batch).__name__}.*get_batch_length"):
            data_length(batch)

    @pytest.mark.parametrize("first", [5, None, torch.tensor(1.0), object()])
    def test_a_container_that_begins_with_no_length_is_refused(self, first: Any) -> None:
        """By both types."""
        for batch in ([first, torch.zeros(3)], {"first": first}):
            with pytest.raises(
                TypeError, match=rf"{type(batch).__name__} batch whose first item is a {type(first).__name__}.*get_batch_length"
            ):
                data_length(batch)
