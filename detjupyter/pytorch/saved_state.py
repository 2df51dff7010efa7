"""Compares the saved states of two trials, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from detjupyter.pytorch.checkpoints.snapshot import STATE_FILE


def first_difference(directory: Path, other: Path) -> str | None:
    """Return the first difference between the states that two checkpoints contain, None if they are equal.

    This compares the values, not the bytes of the files: equal tensors can be stored in different layouts.
    """
    one, two = (torch.load(checkpoint / STATE_FILE, map_location="cpu", weights_only=True) for checkpoint in (directory, other))
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
    # torch.equal treats a NaN as different from itself; its bits are equal.
    pair = [tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, two)] if one.is_floating_point() else []
    return bool(pair) and torch.equal(*pair)


def _below(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)
