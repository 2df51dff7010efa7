"""All that makes a trial go on as it would have: gathered for a checkpoint, and put back.

The layout is Determined's, so that its own loader reads it, with one key more (``detjupyter``) for what it has no place for: where in the
data the trial stands, and gradients that wait for more batches.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch

from detjupyter.errors import CheckpointError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.lr_scheduler import LRScheduler

logger = logging.getLogger("detjupyter")

OURS = "detjupyter"
_FORMAT = 1
_SEVERAL = "module."  # what DistributedDataParallel puts before every name


def gather(context: PyTorchTrialContext, callbacks: Callbacks, place: Mapping[str, Any], batches_trained: int) -> dict[str, Any]:
    """Return the state of a trial but for ``rng_state``; its tensors are the trial's own, not copies."""
    waiting = batches_trained % context.aggregation != 0
    state: dict[str, Any] = {
        "models_state_dict": [model.state_dict() for model in context.models],
        "optimizers_state_dict": [optimizer.state_dict() for optimizer in context.optimizers],
        "lr_schedulers_state_dict": [_without_functions(scheduler.state_dict()) for scheduler in context.lr_schedulers],
        "callbacks": callbacks.state_dict(),
        OURS: {
            "format": _FORMAT,
            "batches_trained": batches_trained,
            "data": dict(place),
            "gradients": [_gradients(model) for model in context.models] if waiting else [],
        },
    }
    if context.scaler is not None:
        state["scaler_state_dict"] = context.scaler.state_dict()
    return state


def load(context: PyTorchTrialContext, state: Mapping[str, Any], path: str | None) -> None:
    """Put models, optimizers, schedulers, gradients and the scaler where ``state`` says; callbacks are the caller's.

    A scaler that only one of the two has is warned of.

    Args:
        context: The trial's.
        state: What :func:`gather` gave, or a checkpoint holds.
        path: The checkpoint; None for a state that was in no file.

    Raises:
        CheckpointError: Something does not fit; what came before it is changed already.
    """
    parts: list[tuple[str, list[Any], list[Any]]] = [
        ("model", list(context.models), state["models_state_dict"]),
        ("optimizer", list(context.optimizers), state["optimizers_state_dict"]),
        ("LR scheduler", list(context.lr_schedulers), state.get("lr_schedulers_state_dict", [])),
    ]
    for what, mine, theirs in parts:
        if len(mine) != len(theirs):
            raise CheckpointError(f"The state is of {len(theirs)} {what}s, the trial has {len(mine)}.", path=path)
    for what, mine, theirs in parts:
        for index, (target, source) in enumerate(zip(mine, theirs, strict=True)):
            if what == "model":
                source = _named_as_in(target, source)
            misfits = _misfits(target, source) if what == "model" else ""
            try:
                if misfits:
                    raise ValueError(misfits)
                target.load_state_dict({**target.state_dict(), **source} if what == "LR scheduler" else source)
            except (RuntimeError, ValueError, KeyError, TypeError) as error:
                raise CheckpointError(f"The state of {what} {index} does not fit: {error}", path=path) from None
    for scheduler in context.lr_schedulers:
        _reattach(scheduler)
    _load_scaler(context, state.get("scaler_state_dict"), path)
    gradients = state.get(OURS, {}).get("gradients") or [{} for _ in context.models]
    for model, waiting in zip(context.models, gradients, strict=False):
        for name, parameter in model.named_parameters():
            parameter.grad = waiting[name].to(parameter.device, copy=True) if name in waiting else None


def _load_scaler(context: PyTorchTrialContext, state: dict[str, Any] | None, path: str | None) -> None:
    scaler = context.scaler
    if scaler is not None and state:
        scaler.load_state_dict(state)
    elif path is not None and state:
        logger.warning("The checkpoint has the state of a scaler for mixed precision, and the trial has none; it is left out.")
    elif path is not None and scaler is not None and scaler.state_dict():
        logger.warning("The checkpoint has no state of the trial's scaler for mixed precision; it begins anew.")


def _without_functions(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scheduler's state without functions that no file can name, lambdas above all: the code brings them along."""
    return {name: value for name, value in state.items() if not (isinstance(value, FunctionType) and "<" in value.__qualname__)}


def _reattach(scheduler: LRScheduler) -> None:
    """Have schedulers inside of ``scheduler`` set the learning rates of its optimizer: a state brings copies of both along."""
    outer = scheduler.scheduler
    for inner in getattr(outer, "__dict__", {}).values():
        if isinstance(inner, torch.optim.lr_scheduler.LRScheduler) and hasattr(outer, "optimizer"):
            inner.optimizer = outer.optimizer


def copied_to_host(value: Any) -> Any:
    """Return a copy of a state that the trial cannot change."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied_to_host(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied_to_host(inner) for inner in value) if type(value) in (list, tuple) else value
    return value


@dataclass(frozen=True, slots=True)
class WrittenOptions:
    """The options of optimizers and schedulers as the code wrote them.

    A state brings the options along that it was saved with; without these, a learning rate that was edited would have no effect.
    """

    groups: list[list[dict[str, Any]]]
    schedulers: list[dict[str, Any]]

    @classmethod
    def of(cls, context: PyTorchTrialContext) -> WrittenOptions:
        """Return the options of a trial that was just built."""
        groups = [
            [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
            for optimizer in context.optimizers
        ]
        return cls(groups, [dict(copied_to_host(scheduler.state_dict())) for scheduler in context.lr_schedulers])

    def restore_edits(self, context: PyTorchTrialContext, before: WrittenOptions) -> None:
        """Give the trial of ``context`` what its code writes otherwise than the code ``before``."""
        for optimizer, mine, theirs in zip(context.optimizers, self.groups, before.groups, strict=True):
            for group, new, old in zip(optimizer.param_groups, mine, theirs, strict=True):
                group.update({name: value for name, value in new.items() if name not in old or not _same(old[name], value)})
        for scheduler, new, old in zip(context.lr_schedulers, self.schedulers, before.schedulers, strict=False):
            edits = {name: value for name, value in new.items() if name not in old or not _same(old[name], value)}
            if edits:
                scheduler.load_state_dict({**scheduler.state_dict(), **edits})


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor) or isinstance(two, torch.Tensor):
        return isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor) and torch.equal(one.cpu(), two.cpu())
    return bool(one == two)


def _gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def _named_as_in(model: torch.nn.Module, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's state without the prefix that training in several processes gave its names, or with it if the model has it."""
    has = bool(state) and all(name.startswith(_SEVERAL) for name in state)
    wants = all(name.startswith(_SEVERAL) for name in model.state_dict())
    if has and not wants:
        return {name.removeprefix(_SEVERAL): value for name, value in state.items()}
    return {f"{_SEVERAL}{name}": value for name, value in state.items()} if wants and not has else state


def _misfits(model: torch.nn.Module, state: Mapping[str, Any]) -> str:
    """Return the tensors whose shapes differ, for people; empty if torch may try."""
    mine = model.state_dict()
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the state and {tuple(tensor.shape)} in the model"
        for name, tensor in mine.items()
        if isinstance(tensor, torch.Tensor) and isinstance(state.get(name), torch.Tensor) and state[name].shape != tensor.shape
    ]
    return "; ".join([*shapes[:5], *([f"and {len(shapes) - 5} more"] if len(shapes) > 5 else [])]) + "." if shapes else ""
