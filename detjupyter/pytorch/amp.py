"""Automatic mixed precision: the forward pass in half precision, with scaled losses so that small gradients do not underflow."""

from __future__ import annotations

import copy
from typing import Any

import torch


def half_precision(device: torch.device) -> torch.dtype:
    """Return the dtype of the forward pass: float16 on CUDA, where losses are scaled; else bfloat16, which has the range of float32."""
    return torch.float16 if device.type == "cuda" else torch.bfloat16


def make_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Return the scaler for automatic mixed precision. It is disabled for bfloat16, which needs no scaling."""
    return torch.amp.GradScaler(device.type, enabled=device.type == "cuda")


def autocast_forward(model: torch.nn.Module, device: torch.device) -> None:
    """Make the forward pass of ``model`` run under autocast and return float32.

    The model gets a subclass of its class instead of a wrapper module, so that the names of its parameters stay the same.
    """
    kind = type(model)
    dtype = half_precision(device)

    def forward(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, dtype=dtype):
            return in_full_precision(kind.forward(self, *args, **kwargs))

    def deep_copy(self: torch.nn.Module, memo: dict[int, Any]) -> Any:
        # The class made here cannot be found by its name, and by its name a copy or a pickle would find it.
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
        same = copy.copy(value)  # not type(value)(…): a user's dict class can have any constructor
        for name, inner in value.items():
            same[name] = in_full_precision(inner)
        return same
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(in_full_precision(inner) for inner in value))
    if isinstance(value, (list, tuple)):
        return type(value)([in_full_precision(inner) for inner in value])
    return value
