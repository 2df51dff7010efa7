"""Comparing what two trials wrote, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from detjupyter.pytorch.checkpoints.snapshot import STATE_FILE


def first_difference(directory: Path, other: Path) -> str | None:
    """Return where the states that :meth:`PyTorchAdapter.save` wrote into two directories differ first, None if nowhere.

    The values themselves are compared, not the files: equal tensors may lie differently in them.
    """
    one, two = (torch.load(place / STATE_FILE, map_location="cpu", weights_only=True) for place in (directory, other))
    return _difference(one, two, "")


def _difference(one: Any, two: Any, where: str) -> str | None:
    if type(one) is not type(two) and not (isinstance(one, Mapping) and isinstance(two, Mapping)):
        return f"{where} is {type(one).__name__}, then {type(two).__name__}"
    if isinstance(one, torch.Tensor):
        return None if _same_bits(one, two) else f"{where} differs"
    if isinstance(one, Mapping):
        missing = [name for name in {**one, **two} if (name in one) is not (name in two)]
        if missing:
            return f"{_below(where, missing[0])} is in only one of the two"
        return next((found for name in one if (found := _difference(one[name], two[name], _below(where, name)))), None)
    if isinstance(one, (list, tuple)):
        if len(one) != len(two):
            return f"{where} has {len(one)} entries, then {len(two)}"
        pairs = enumerate(zip(one, two, strict=True))
        return next((found for index, (a, b) in pairs if (found := _difference(a, b, _below(where, index)))), None)
    both_nan = isinstance(one, float) and one != one and two != two
    return None if one == two or both_nan else f"{where} is {one!r}, then {two!r}"


def _same_bits(one: torch.Tensor, two: torch.Tensor) -> bool:
    if one.shape != two.shape or one.dtype != two.dtype:
        return False
    if torch.equal(one, two):
        return True
    # A NaN is not equal to itself, its bits are.
    pair = [tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, two)] if one.is_floating_point() else []
    return bool(pair) and torch.equal(*pair)


def _below(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)
