"""Calls a trial's methods, for both interfaces that Determined has had for PyTorch trials.

Since Determined 0.12.13 a trial wraps its models and optimizers in ``__init__``, and computes the backward pass and the step itself
(*context style*). Before, a trial had ``build_model`` and ``optimizer``, and Determined computed the backward pass and the step after
``train_batch`` (*callback style*). A class that overrides ``build_model``, ``optimizer`` or ``create_lr_scheduler`` is of callback style.

Determined 0.12.13 and 0.13 still passed the model to a trial of context style: a method with a parameter ``model`` gets the first wrapped
model.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch

from detjupyter.errors import HyperparameterError, TrialUsageError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.lr_scheduler import LRScheduler
from detjupyter.pytorch.trial import PyTorchTrial

_CALLBACK_STYLE = ("build_model", "optimizer", "create_lr_scheduler")


class Procedure(ABC):
    """The methods of one trial, independent of its style.

    Attributes:
        train_batch: Called with the keywords ``batch``, ``epoch_idx`` and ``batch_idx``; takes all steps, and returns a loss or metrics.
        evaluates_full_dataset: Whether the trial evaluates the whole validation data in one call instead of batch by batch.
    """

    train_batch: Any
    evaluates_full_dataset: bool

    def __init__(self, trial: PyTorchTrial) -> None:
        self.trial: Any = trial  # Any: the methods of the two styles have different arguments
        self.evaluates_full_dataset = _evaluates_full_dataset(type(trial))

    @abstractmethod
    def set_up(self) -> None:
        """Build the model and the optimizer, if the trial's ``__init__`` has not built them."""

    @abstractmethod
    def evaluate_batch(self, batch: Any, batch_idx: int) -> Any:
        """Return the metrics of a validation batch."""

    @abstractmethod
    def evaluate_full_dataset(self, loader: Any) -> Any:
        """Return the metrics of the whole validation data."""


def procedure_for(trial: PyTorchTrial, context: PyTorchTrialContext, callbacks: Callbacks) -> Procedure:
    """Return the procedure of a trial's style.

    Raises:
        TrialUsageError: The class has neither or both of ``evaluate_batch`` and ``evaluate_full_dataset``, or only one of ``build_model``
            and ``optimizer``.
    """
    if is_callback_style(type(trial)):
        return CallbackStyle(trial, context, callbacks)
    return ContextStyle(trial, context)


def is_callback_style(kind: type[PyTorchTrial]) -> bool:
    """Return whether a class was written for the interface before Determined 0.12.13."""
    return any(_overrides(kind, method) for method in _CALLBACK_STYLE)


class ContextStyle(Procedure):
    """The trial computes the loss, the backward pass and the step."""

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext) -> None:
        super().__init__(trial)
        kind = type(trial)
        self.train_batch = _with_model(self.trial.train_batch, kind.train_batch, context)
        evaluate_batch = _with_model(self.trial.evaluate_batch, kind.evaluate_batch, context)
        self._evaluate_batch = _with_index(evaluate_batch, kind.evaluate_batch)
        self._evaluate_full_dataset = _with_model(self.trial.evaluate_full_dataset, kind.evaluate_full_dataset, context)

    def set_up(self) -> None:
        """Do nothing: the trial's ``__init__`` has built everything."""

    def evaluate_batch(self, batch: Any, batch_idx: int) -> Any:
        """Return the metrics of a validation batch."""
        return self._evaluate_batch(batch, batch_idx)

    def evaluate_full_dataset(self, loader: Any) -> Any:
        """Return the metrics of the whole validation data."""
        return self._evaluate_full_dataset(data_loader=loader)


class CallbackStyle(Procedure):
    """The trial computes the loss; this class computes the backward pass, clips the gradients, and takes the step."""

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext, callbacks: Callbacks) -> None:
        super().__init__(trial)
        for method in ("build_model", "optimizer"):
            if not _overrides(type(trial), method):
                raise TrialUsageError(
                    "A trial must define both of build_model() and optimizer(), or neither.",
                    f"{type(trial).__name__} has no {method}().",
                    "Define it, or wrap both in __init__: context.wrap_model(…), context.wrap_optimizer(…).",
                )
        self._context = context
        self._before_step = callbacks.overriding("on_before_optimizer_step")
        self._clip = _clipping(context)
        self.train_batch = self._train_batch
        self._model: torch.nn.Module
        self._optimizer: torch.optim.Optimizer

    def set_up(self) -> None:
        """Build the model, its optimizer and its scheduler, in the order of Determined 0.13."""
        context = self._context
        if context.settings.mixed_precision != "O0":
            context.configure_apex_amp([], [], opt_level=context.settings.mixed_precision)
        self._model = context.wrap_model(self.trial.build_model())
        self._optimizer = context.wrap_optimizer(self.trial.optimizer(model=self._model))
        scheduler = self.trial.create_lr_scheduler(optimizer=self._optimizer)
        if scheduler is not None:
            if not isinstance(scheduler, LRScheduler):
                raise TrialUsageError(
                    "create_lr_scheduler() must return a determined.pytorch.LRScheduler or None.",
                    f"It returned {type(scheduler).__name__}.",
                    "Wrap it: `LRScheduler(scheduler, LRScheduler.StepMode.STEP_EVERY_EPOCH)`.",
                )
            context.lr_schedulers.append(scheduler)  # not with wrap_lr_scheduler(), which expects torch's own scheduler

    def evaluate_batch(self, batch: Any, batch_idx: int) -> Any:
        """Return the metrics of a validation batch."""
        del batch_idx
        return self.trial.evaluate_batch(batch=batch, model=self._model)

    def evaluate_full_dataset(self, loader: Any) -> Any:
        """Return the metrics of the whole validation data."""
        return self.trial.evaluate_full_dataset(data_loader=loader, model=self._model)

    def _train_batch(self, *, batch: Any, epoch_idx: int, batch_idx: int) -> Any:
        result = self.trial.train_batch(batch=batch, model=self._model, epoch_idx=epoch_idx, batch_idx=batch_idx)
        if isinstance(result, torch.Tensor):
            result = {"loss": result}
        if not isinstance(result, Mapping):
            raise TrialUsageError("train_batch() must return the loss or a dict of metrics.", f"It returned {type(result).__name__}.")
        if "loss" not in result:
            raise TrialUsageError(
                "train_batch() of a trial with build_model() must return the loss, alone or as the metric 'loss'.",
                f"It returned {', '.join(map(repr, result)) or 'no metric'}.",
            )
        self._context.backward(result["loss"])
        self._context.step_optimizer(self._optimizer, self._before_update if self._clip or self._before_step else None)
        return result

    def _before_update(self, parameters: list[torch.nn.Parameter]) -> None:
        if self._clip is not None:
            self._clip(parameters)
        for method in self._before_step:
            method(parameters)


def _clipping(context: PyTorchTrialContext) -> Any:
    """Return the function that clips gradients as the hyperparameters of Determined 0.12.4 ask for, None if they do not."""
    hparams = context.config.hyperparameters
    norm, value = hparams.get("clip_grad_l2_norm"), hparams.get("clip_grad_val")
    if norm is not None and value is not None:
        raise HyperparameterError(
            "clip_grad_l2_norm and clip_grad_val exclude each other.", name="clip_grad_val", hint="Leave one of the two out."
        )
    if "amp" in hparams:
        raise HyperparameterError(
            "Mixed precision is not a hyperparameter.", name="amp", hint="Set `optimizations.mixed_precision: O1` in the YAML."
        )
    for name, number in (("clip_grad_l2_norm", norm), ("clip_grad_val", value)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float))):
            raise HyperparameterError(f"{name} must be a number, got {number!r}.", name=name)
    if norm is not None:
        return lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, norm)
    if value is not None:
        return lambda parameters: torch.nn.utils.clip_grad_value_(parameters, value)
    return None


def _overrides(kind: type[PyTorchTrial], method: str) -> bool:
    return getattr(kind, method) is not getattr(PyTorchTrial, method)


def _evaluates_full_dataset(kind: type[PyTorchTrial]) -> bool:
    by_batch, at_once = _overrides(kind, "evaluate_batch"), _overrides(kind, "evaluate_full_dataset")
    if by_batch is at_once:
        raise TrialUsageError(
            "A trial must define exactly one of evaluate_batch() and evaluate_full_dataset().",
            f"{kind.__name__} has {'both' if by_batch else 'neither'}.",
            "Leave one of them out." if by_batch else "Add `def evaluate_batch(self, batch)`, which returns a dict of metrics.",
        )
    return at_once


def _with_model(method: Callable[..., Any], function: Any, context: PyTorchTrialContext) -> Callable[..., Any]:
    """Return ``method``, which is ``function`` of the class, with the first wrapped model as its argument ``model`` if it has one."""
    if "model" not in _parameters(function) or not context.models:
        return method
    return functools.partial(method, model=context.models[0])


def _with_index(method: Callable[..., Any], function: Any) -> Callable[[Any, int], Any]:
    """Return a function of a batch and its index that calls ``method``, which is ``evaluate_batch``; ``function`` is that of the class.

    The parameter for the index is ``batch_idx``, else the third one, not counting ``model``; most trials have none.
    """
    parameters = _parameters(function)
    if "batch_idx" in parameters:
        return lambda batch, index: method(batch=batch, batch_idx=index)
    required = [
        parameter
        for parameter in parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        and parameter.name != "model"
    ]
    if len(required) < 3:
        return lambda batch, _: method(batch=batch)
    third = required[2]
    if third.kind is third.POSITIONAL_ONLY:
        return method
    return lambda batch, index: method(batch, **{third.name: index})  # by name, since `model` can be before it


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
