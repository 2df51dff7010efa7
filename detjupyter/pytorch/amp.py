"""Automatic mixed precision: forward passes in half precision, losses scaled so that small gradients survive it."""

from __future__ import annotations

import copy
from typing import Any

import torch


def half_precision(device: torch.device) -> torch.dtype:
    """Return what forward passes are computed in: float16 where losses are scaled, elsewhere bfloat16, which has the range of float32."""
    return torch.float16 if device.type == "cuda" else torch.bfloat16


def make_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Return the scaler for automatic mixed precision; it does nothing for bfloat16, which needs none."""
    return torch.amp.GradScaler(device.type, enabled=device.type == "cuda")


def autocast_forward(model: torch.nn.Module, device: torch.device) -> None:
    """Make the forward pass of ``model`` run under autocast and return float32; names and states of its parameters stay as they are."""
    kind = type(model)
    dtype = half_precision(device)

    def forward(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, dtype=dtype):
            return in_full_precision(kind.forward(self, *args, **kwargs))

    def deep_copy(self: torch.nn.Module, memo: dict[int, Any]) -> Any:
        # The class made here cannot be found by its name, which is what a copy, or a pickle, would go by.
        same = kind.__new__(kind)
        memo[id(self)] = same
        vars(same).update(copy.deepcopy(vars(self), memo))
        same.__class__ = type(self)
        return same

    model.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__deepcopy__": deep_copy, "__module__": kind.__module__})


def in_full_precision(value: Any) -> Any:
    """Return ``value`` with the half-precision tensors in it as float32."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
    if isinstance(value, dict):
        same = copy.copy(value)  # a dict of any kind is not to be made from another one
        for name, inner in value.items():
            same[name] = in_full_precision(inner)
        return same
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(in_full_precision(inner) for inner in value))
    if isinstance(value, (list, tuple)):
        return type(value)([in_full_precision(inner) for inner in value])
    return value
