"""The metrics of batches: one row for each batch while they are on the device, one column for each metric on the host.

A trial returns a few metrics for each batch, or thousands, for example the norm of every layer. A few tensors are kept as they are. With
many, keeping each tensor and transferring it separately would take longer than the batch: scalar metrics are therefore copied into a few
vectors, one for each dtype and device, and transferred to the host as the rows of a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from detjupyter.errors import TrialUsageError
from detjupyter.framework.metrics import flatten
from detjupyter.protocol.records import FloatArray
from detjupyter.pytorch.host import column

# For fewer metrics, one transfer for each is faster than the packing.
MANY = 16
"""A row with this many metrics or more is packed."""

_PLAIN = {torch.Tensor, torch.nn.Parameter}  # a user's subclass could override how it is stacked
_TEXT = {str}
_type_of = attrgetter("dtype")


@dataclass(frozen=True, slots=True)
class Pack:
    """Scalar metrics of one batch, of one dtype and on one device.

    Attributes:
        names: (M,) their names.
        values: (M,) their values, in a tensor that shares no memory with the trial's tensors.
    """

    names: tuple[str, ...]
    values: torch.Tensor


class PackedRow(Mapping[str, Any]):
    """The metrics of one batch, in the order in which the trial returned them; scalars are packed.

    Attributes:
        names: The names of all metrics.
        packs: The scalar metrics.
        loose: The other metrics, by name.
    """

    __slots__ = ("_values", "loose", "names", "packs")

    def __init__(self, names: tuple[str, ...], packs: list[Pack], loose: dict[str, Any]) -> None:
        self.names = names
        self.packs = packs
        self.loose = loose
        self._values: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._unpacked()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def _unpacked(self) -> dict[str, Any]:
        """Return every metric by its name: a view of a pack's vector, or the loose value."""
        if self._values is None:
            self._values = dict(self.loose)
            for pack in self.packs:
                self._values.update(zip(pack.names, pack.values.unbind(), strict=True))
        return self._values


def keep_row(result: Any) -> Mapping[str, Any]:
    """Return the result of ``train_batch`` as metrics that no later batch can change, nested ones flat. They stay on the device.

    Raises:
        TrialUsageError: The result is neither a tensor nor a mapping.
    """
    if type(result) is not dict:
        if isinstance(result, torch.Tensor):
            result = {"loss": result}
        elif not isinstance(result, Mapping):
            raise TrialUsageError("train_batch() must return the loss or a dict of metrics.", f"It returned {type(result).__name__}.")
    return _kept(result) if len(result) < MANY else _packed(result)


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
    """Transfer the metrics of N batches to the host, as metric name to (N,) float64, NaN where a batch lacks the metric.

    A metric that is a number in none of the batches is left out. Packed rows are transferred together, every other metric separately.
    """
    found: dict[str, FloatArray] = {}
    for (names, _, _), (indices, vectors) in _by_pack(rows).items():
        block = np.ascontiguousarray(torch.stack(vectors).cpu().double().numpy().T)  # (M, N of these rows)
        _fill(found, names, block, indices, len(rows))
    loose = [row.loose if isinstance(row, PackedRow) else row for row in rows]
    for name in dict.fromkeys(name for row in loose for name in row):
        values = [row.get(name) for row in loose]
        numbers = column(values)
        if numbers is None:
            continue
        if name in found:  # a Python number in some batches, a tensor in others
            indices = [index for index, value in enumerate(values) if value is not None]
            found[name][indices] = numbers[indices]
        else:
            found[name] = numbers
    return {name: found[name] for name in _names(rows) if name in found}


def _kept(values: Mapping[str, Any], *, is_flat: bool = False) -> dict[str, Any]:
    row = {}
    for name, value in values.items():
        if not is_flat and (type(name) is not str or isinstance(value, dict)):
            return _kept(flatten(values), is_flat=True)
        if isinstance(value, torch.Tensor):
            kept = value.detach()
            # A tensor that autograd computed is new in every batch. A leaf can be one that the trial modifies in place: an accumulator.
            row[name] = kept.clone() if value.is_leaf else kept
        else:
            row[name] = value
    return row


def _packed(result: Mapping[str, Any]) -> PackedRow:
    """Return ``result`` with its scalar tensors in packs, and the other metrics kept one by one."""
    if not _TEXT.issuperset(map(type, result)):
        result = flatten(result)
    names, values = tuple(result), list(result.values())
    with torch.no_grad():
        if _PLAIN.issuperset(map(type, values)) and len(set(map(_type_of, values))) == 1:  # fast path: nearly always one pack holds all
            pack = _pack(names, values)
            if pack is not None:
                return PackedRow(names, [pack], {})
        if any(isinstance(value, dict) for value in values):
            result = flatten(result)
            names = tuple(result)
        packs = [pack for pack in map(_pack, *_groups(result)) if pack is not None]
    packed = {name for pack in packs for name in pack.names}
    return PackedRow(names, packs, _kept({name: value for name, value in result.items() if name not in packed}, is_flat=True))


def _groups(result: Mapping[str, Any]) -> tuple[list[tuple[str, ...]], list[list[torch.Tensor]]]:
    """Return the names and the values of the scalar tensors, grouped by dtype and device."""
    groups: dict[tuple[torch.dtype, torch.device], dict[str, torch.Tensor]] = {}
    for name, value in result.items():
        if type(value) in _PLAIN and not value.ndim:
            groups.setdefault((value.dtype, value.device), {})[name] = value
    return [tuple(group) for group in groups.values()], [list(group.values()) for group in groups.values()]


def _pack(names: tuple[str, ...], tensors: list[torch.Tensor]) -> Pack | None:
    """Return copies of ``tensors``, which have one dtype; None if one of them is not a scalar, or if they are on several devices."""
    try:
        values = torch.stack(tensors)
    except RuntimeError:  # they have several shapes or devices, or torch cannot stack this dtype
        return None
    if values.ndim != 1 or values.is_complex() or values.is_meta or values.layout is not torch.strided:
        return None
    return Pack(names, values)


_Rows = tuple[list[int], list[torch.Tensor]]


def _by_pack(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, ...], torch.dtype, torch.device], _Rows]:
    """Group the packs of all rows by names, dtype and device; return the indices of the rows of each group, and its vectors."""
    found: dict[tuple[tuple[str, ...], torch.dtype, torch.device], _Rows] = {}
    for index, row in enumerate(rows):
        for pack in row.packs if isinstance(row, PackedRow) else ():
            indices, vectors = found.setdefault((pack.names, pack.values.dtype, pack.values.device), ([], []))
            indices.append(index)
            vectors.append(pack.values)
    return found


def _fill(found: dict[str, FloatArray], names: tuple[str, ...], block: FloatArray, indices: list[int], rows: int) -> None:
    """Write the values ``block`` (M, len(indices)) of M metrics into the columns ``found``, at the rows ``indices``."""
    if len(indices) < rows:
        whole = np.full((len(names), rows), math.nan)
        whole[:, indices] = block
        block = whole
    for name, values in zip(names, block, strict=True):
        if name in found:
            found[name][indices] = values[indices]
        else:
            found[name] = values


def _names(rows: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    """Return all names of metrics, in the order of their first appearance."""
    names: dict[str, None] = {}
    for of_row in dict.fromkeys(tuple(row) for row in rows):  # the rows nearly always have the same names
        names.update(dict.fromkeys(of_row))
    return names
