"""Gathers the state of a trial for a checkpoint, and loads it into a trial.

The layout is Determined's, so that Determined can load the checkpoint. One additional key, ``detjupyter``, contains what that layout lacks:
the position in the data, and gradients that the next update will use: those that ``aggregation_frequency`` or the trial's own code
accumulates over several batches, and those of parameters that no optimizer has zeroed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch

from detjupyter.errors import StateMismatchError
from detjupyter.framework.warning import warn
from detjupyter.protocol.events import Until
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.trained_parameters import TrainedParameters, optimizer_state
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.lr_scheduler import LRScheduler

OUR_KEY = "detjupyter"
_FORMAT = 1
_DISTRIBUTED_PREFIX = "module."  # DistributedDataParallel adds it to every parameter's name


def gather(context: PyTorchTrialContext, callbacks: Callbacks, position: Mapping[str, Any], batches_trained: int) -> dict[str, Any]:
    """Return the state of a trial without ``rng_state``. Its tensors are the trial's own, not copies.

    Args:
        context: The trial's context.
        callbacks: The trial's callbacks.
        position: The position in the data.
        batches_trained: How many batches the trial has trained.
    """
    state: dict[str, Any] = {
        "models_state_dict": [model.state_dict() for model in context.models],
        "optimizers_state_dict": [optimizer_state(optimizer) for optimizer in context.optimizers],
        "lr_schedulers_state_dict": [_without_functions(scheduler.state_dict()) for scheduler in context.lr_schedulers],
        "callbacks": callbacks.state_dict(),
        OUR_KEY: {
            "format": _FORMAT,
            "batches_trained": batches_trained,
            "data": dict(position),
            "gradients": [_gradients(model) for model in context.models],
        },
    }
    if context.scaler is not None:
        state["scaler_state_dict"] = context.scaler.state_dict()
    return state


def load(
    context: PyTorchTrialContext, state: Mapping[str, Any], path: str | None, *, load_groups: Callable[[], object] = lambda: None
) -> None:
    """Load ``state`` into the models, optimizers, schedulers, gradients and the scaler; not into the callbacks.

    A warning is logged if only the state or only the trial has a scaler.

    Args:
        context: The trial's context.
        state: A state from :func:`gather` or from a checkpoint.
        path: The checkpoint; None for a state that comes from no file.
        load_groups: Called before the states of the optimizers are loaded, when these must get the parameter groups of the state.

    Raises:
        StateMismatchError: A part of the state does not fit. The parts before it are loaded already.
    """
    parts: list[tuple[str, list[Any], list[Any]]] = [
        ("model", list(context.models), state["models_state_dict"]),
        ("optimizer", list(context.optimizers), state["optimizers_state_dict"]),
        ("LR scheduler", list(context.lr_schedulers), state.get("lr_schedulers_state_dict", [])),
    ]
    for what, mine, theirs in parts:
        if len(mine) != len(theirs):
            wrapping = f"Create and wrap each {what} in __init__: one that training adds or replaces is not in a new trial."
            raise StateMismatchError(f"The state has {len(theirs)} {what}s, the trial has {len(mine)}.", path=path, hint=wrapping)
    for what, mine, theirs in parts:
        if what == "optimizer":
            load_groups()
        for index, (target, source) in enumerate(zip(mine, theirs, strict=True)):
            if what == "model":
                source = _named_as_in(target, source)
            misfits = _misfits(target, source) if what == "model" else ""
            try:
                if misfits:
                    raise ValueError(misfits)
                # A scheduler's saved state lacks functions; those of the present code take their place.
                target.load_state_dict({**target.state_dict(), **source} if what == "LR scheduler" else source)
            except (RuntimeError, ValueError, KeyError, TypeError) as error:
                hint = _how_to_fit(target, source, path) if what == "model" else None
                raise StateMismatchError(f"The state of {what} {index} does not fit: {error}", path=path, hint=hint) from None
    for scheduler in context.lr_schedulers:
        _reattach(scheduler)
    _load_scaler(context, state.get("scaler_state_dict"), path)
    gradients = state.get(OUR_KEY, {}).get("gradients") or [{} for _ in context.models]
    for model, accumulated in zip(context.models, gradients, strict=False):
        for name, parameter in model.named_parameters():
            # None, too: gradients of the state before the load must not enter the next update.
            parameter.grad = accumulated[name].to(parameter.device, copy=True) if name in accumulated else None


def _load_scaler(context: PyTorchTrialContext, state: dict[str, Any] | None, path: str | None) -> None:
    scaler = context.scaler
    if scaler is not None and state:
        scaler.load_state_dict(state)
    elif path is not None and state:
        warn(
            "The checkpoint has the state of a scaler for mixed precision, but the trial has no scaler; the state is ignored.",
            Until.RESTORE,
        )
    elif path is not None and scaler is not None and scaler.state_dict():
        warn("The checkpoint has no state for the trial's scaler of mixed precision; the scaler keeps its initial state.", Until.RESTORE)


def _without_functions(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scheduler's state without functions that cannot be pickled by name, such as lambdas; the code defines them again."""
    return {name: value for name, value in state.items() if not (isinstance(value, FunctionType) and "<" in value.__qualname__)}


def _reattach(scheduler: LRScheduler) -> None:
    """Connect the nested schedulers of ``scheduler`` to its optimizer: loading replaces them by copies that refer to a copy of it."""
    outer = scheduler.scheduler
    for inner in getattr(outer, "__dict__", {}).values():
        if isinstance(inner, torch.optim.lr_scheduler.LRScheduler) and hasattr(outer, "optimizer"):
            inner.optimizer = outer.optimizer


def copied_to_host(value: Any) -> Any:
    """Return a copy of ``value`` with the tensors on the host. Dicts, lists and tuples are copied, other objects are shared."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied_to_host(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied_to_host(inner) for inner in value) if type(value) in (list, tuple) else value
    return value


@dataclass(frozen=True, slots=True)
class WrittenOptions:
    """The options of optimizers and schedulers as the user's code set them.

    A saved state contains options, too, and loading it overwrites those of the code. Without this class, an edit of a learning rate would
    therefore have no effect.
    """

    groups: list[list[dict[str, Any]]]
    schedulers: list[dict[str, Any]]

    @classmethod
    def of(cls, context: PyTorchTrialContext) -> WrittenOptions:
        """Return the options of a newly built trial."""
        groups = [
            [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
            for optimizer in context.optimizers
        ]
        return cls(groups, [dict(copied_to_host(scheduler.state_dict())) for scheduler in context.lr_schedulers])

    def restore_edits(self, context: PyTorchTrialContext, parameters: TrainedParameters, before: WrittenOptions) -> None:
        """Set the options again that the code of this trial sets to other values than the code of ``before``."""
        for index, (mine, theirs) in enumerate(zip(self.groups, before.groups, strict=True)):
            for number, (new, old) in enumerate(zip(mine, theirs, strict=False)):
                edits = {name: value for name, value in new.items() if name not in old or not _is_equal(old[name], value)}
                for group in parameters.groups_with(index, number) if edits else ():
                    group.update(edits)
        for scheduler, new, old in zip(context.lr_schedulers, self.schedulers, before.schedulers, strict=False):
            edits = {name: value for name, value in new.items() if name not in old or not _is_equal(old[name], value)}
            if edits:
                scheduler.load_state_dict({**scheduler.state_dict(), **edits})


def _is_equal(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor) or isinstance(two, torch.Tensor):
        return isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor) and torch.equal(one.cpu(), two.cpu())
    return bool(one == two)


def _gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def _named_as_in(model: torch.nn.Module, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's state with the prefix of DistributedDataParallel added or removed, so that its names match those of ``model``."""
    has = bool(state) and all(name.startswith(_DISTRIBUTED_PREFIX) for name in state)
    wants = all(name.startswith(_DISTRIBUTED_PREFIX) for name in model.state_dict())
    if has and not wants:
        return {name.removeprefix(_DISTRIBUTED_PREFIX): value for name, value in state.items()}
    return {f"{_DISTRIBUTED_PREFIX}{name}": value for name, value in state.items()} if wants and not has else state


def _how_to_fit(model: torch.nn.Module, state: Mapping[str, Any], path: str | None) -> str | None:
    """Return what to do if the state has tensors that the model lacks, as after parametrizing or pruning it in the training."""
    if set(state) == set(model.state_dict()):
        return None
    where = "in __init__" if path is None else "in __init__, or in a callback's on_checkpoint_load_start()"
    return f"If training added modules, parametrizations or pruning to the model, add them {where}, before the state is loaded."


def _misfits(model: torch.nn.Module, state: Mapping[str, Any]) -> str:
    """Return a message that names the tensors whose shapes differ, empty if none do."""
    mine = model.state_dict()
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the state and {tuple(tensor.shape)} in the model"
        for name, tensor in mine.items()
        if isinstance(tensor, torch.Tensor) and isinstance(state.get(name), torch.Tensor) and state[name].shape != tensor.shape
    ]
    return "; ".join([*shapes[:5], *([f"and {len(shapes) - 5} more"] if len(shapes) > 5 else [])]) + "." if shapes else ""
