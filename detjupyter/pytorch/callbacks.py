"""What a trial wants done at certain moments of its training."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from detjupyter.pytorch.mistakes import mistake

logger = logging.getLogger("detjupyter")


class PyTorchCallback:
    """The base of callbacks: every method is a moment, and does nothing.

    ``PyTorchTrial.build_callbacks`` returns them by name. The order of the moments in a run is that of the methods below.
    """

    def on_trial_startup(self, first_batch_idx: int, checkpoint_uuid: str | None) -> None:
        """Before the data loaders are built; ``checkpoint_uuid`` is what the trial was restored from, if it was."""

    def on_checkpoint_load_start(self, checkpoint: dict[str, Any]) -> None:
        """Before a state is put into the trial; the dict may be changed."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""

    def on_training_start(self) -> None:
        """Once, when the data is there and the first batch comes next."""

    def on_training_epoch_start(self, epoch_idx: int) -> None:
        """Before the first batch of an epoch; not when a training goes on in the middle of one."""

    def on_train_step_start(self, step_id: int) -> None:
        """Before a stretch of batches, which was called a step until 0.12.11; ``step_id`` counts them from 1."""

    def on_before_optimizer_step(self, parameters: Any) -> None:
        """Before an update, with the optimizer's parameters; only in trials with ``build_model``."""

    def on_training_epoch_end(self, epoch_idx: int) -> None:
        """After the last batch of an epoch."""

    def on_training_workload_end(self, avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
        """After a stretch of batches, with their metrics on the host and the averages."""

    def on_train_step_end(self, step_id: int, metrics: dict[str, Any]) -> None:
        """After a stretch of batches; ``metrics`` holds ``avg_metrics`` and ``batch_metrics``. The name until 0.12.11."""

    def on_validation_step_start(self) -> None:
        """Before a validation; the name until 0.20."""

    def on_validation_start(self) -> None:
        """Before a validation."""

    def on_validation_epoch_start(self) -> None:
        """Before the first validation batch; not with ``evaluate_full_dataset``."""

    def on_validation_epoch_end(self, outputs: list[dict[str, Any]]) -> None:
        """After the last validation batch, with what ``evaluate_batch`` returned, on the host; not with ``evaluate_full_dataset``."""

    def on_validation_step_end(self, metrics: dict[str, Any]) -> None:
        """After a validation, with its reduced metrics; the name until 0.20."""

    def on_validation_end(self, metrics: dict[str, Any]) -> None:
        """After a validation, with its reduced metrics."""

    def state_dict(self) -> dict[str, Any]:
        """Return what belongs into a checkpoint."""
        return {}

    def on_checkpoint_save_start(self, checkpoint: dict[str, Any]) -> None:
        """Before a state is written; the dict may be changed."""

    def on_checkpoint_end(self, checkpoint_dir: str) -> None:
        """When the files of a checkpoint are written; others may be added."""

    def on_checkpoint_write_end(self, checkpoint_dir: str) -> None:
        """When the files of a checkpoint are written; others may be added."""

    def on_checkpoint_upload_end(self, uuid: str) -> None:
        """When a checkpoint is complete."""

    def on_trial_shutdown(self) -> None:
        """When the trial's life is over, whatever ended it."""


class ClipGradsL2Norm(PyTorchCallback):
    """Scales the gradients down to a norm of at most ``clip_value`` before each update."""

    def __init__(self, clip_value: float) -> None:
        self._clip_value = clip_value

    def on_before_optimizer_step(self, parameters: Any) -> None:
        """Clip."""
        torch.nn.utils.clip_grad_norm_(parameters, self._clip_value)


class ClipGradsL2Value(PyTorchCallback):
    """Cuts each gradient to at most ``clip_value`` in size before each update."""

    def __init__(self, clip_value: float) -> None:
        self._clip_value = clip_value

    def on_before_optimizer_step(self, parameters: Any) -> None:
        """Clip."""
        torch.nn.utils.clip_grad_value_(parameters, self._clip_value)


class Callbacks:
    """A trial's callbacks: each method tells all that listen to that moment, in their order.

    What a callback listens to is settled when this object is made; a moment that nobody listens to costs an empty loop.

    Raises:
        TrialError: ``build_callbacks`` returned something else than a dict of names to callbacks, or one callback by two names.
    """

    def __init__(self, named: Any) -> None:
        self._named = _checked({} if named is None else named)
        self._listening = {moment: self._find_listening(moment) for moment in _MOMENTS}
        self._epoch_starts = [_with_epoch_idx(method) for method in self._listening["on_training_epoch_start"]]

    def __contains__(self, name: str) -> bool:
        return name in self._named

    def listening(self, moment: str) -> list[Callable[..., Any]]:
        """Return the methods that the callbacks have of their own for a moment."""
        return list(self._listening[moment])

    def overrides(self, moment: str) -> bool:
        """Return whether any callback has a method of its own for a moment."""
        return bool(self._listening[moment])

    @property
    def wants_stretches(self) -> bool:
        """Whether any callback looks at the metrics of a stretch of batches, by today's name or that of 0.12."""
        return self.overrides("on_training_workload_end") or self.overrides("on_train_step_end")

    def on_train_step_start(self, step_id: int) -> None:
        """Tell that a stretch of batches begins."""
        self._tell("on_train_step_start", step_id)

    def on_train_step_end(self, step_id: int, metrics: dict[str, Any]) -> None:
        """Show the metrics of a stretch, by the name of 0.12."""
        self._tell("on_train_step_end", step_id, metrics)

    def on_trial_startup(self, first_batch_idx: int, checkpoint_uuid: str | None) -> None:
        """Tell that the trial begins."""
        self._tell("on_trial_startup", first_batch_idx, checkpoint_uuid)

    def on_checkpoint_load_start(self, checkpoint: dict[str, Any]) -> None:
        """Show a state before it is loaded."""
        self._tell("on_checkpoint_load_start", checkpoint)

    def on_training_start(self) -> None:
        """Tell that the first batch comes next."""
        self._tell("on_training_start")

    def on_training_epoch_start(self, epoch_idx: int) -> None:
        """Tell that an epoch begins; methods from before 0.17.9 take no argument."""
        for method in self._epoch_starts:
            method(epoch_idx)

    def on_training_epoch_end(self, epoch_idx: int) -> None:
        """Tell that an epoch is over."""
        self._tell("on_training_epoch_end", epoch_idx)

    def on_training_workload_end(self, avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
        """Show the metrics of a stretch."""
        for method in self._listening["on_training_workload_end"]:
            method(avg_metrics=avg_metrics, batch_metrics=batch_metrics)

    def on_validation_step_start(self) -> None:
        """Tell that a validation begins."""
        self._tell("on_validation_step_start")

    def on_validation_start(self) -> None:
        """Tell that a validation begins."""
        self._tell("on_validation_start")

    def on_validation_epoch_start(self) -> None:
        """Tell that validation batches come next."""
        self._tell("on_validation_epoch_start")

    def on_validation_epoch_end(self, outputs: list[dict[str, Any]]) -> None:
        """Show the results of all validation batches."""
        self._tell("on_validation_epoch_end", outputs)

    def on_validation_step_end(self, metrics: dict[str, Any]) -> None:
        """Show the metrics of a validation."""
        self._tell("on_validation_step_end", metrics)

    def on_validation_end(self, metrics: dict[str, Any]) -> None:
        """Show the metrics of a validation."""
        self._tell("on_validation_end", metrics)

    def on_checkpoint_save_start(self, checkpoint: dict[str, Any]) -> None:
        """Show a state before it is written."""
        self._tell("on_checkpoint_save_start", checkpoint)

    def on_checkpoint_written(self, checkpoint_dir: str) -> None:
        """Show the files of a checkpoint to one callback after the other, by both of the moment's names."""
        for callback in self._named.values():
            callback.on_checkpoint_end(checkpoint_dir)
            callback.on_checkpoint_write_end(checkpoint_dir)

    def on_checkpoint_upload_end(self, uuid: str) -> None:
        """Tell that a checkpoint is complete."""
        for method in self._listening["on_checkpoint_upload_end"]:
            method(uuid=uuid)

    def on_trial_shutdown(self) -> None:
        """Tell that the trial is over, the last callback first; what one of them raises is raised when all were told."""
        failure: Exception | None = None
        for method in reversed(self._listening["on_trial_shutdown"]):
            try:
                method()
            except Exception as error:  # the others have something to close, too
                failure = failure or error
        if failure is not None:
            raise failure

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Return the states of all callbacks, by name."""
        return {name: callback.state_dict() for name, callback in self._named.items()}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Give each callback its state; one that wants a state which is not there is warned of."""
        for name, callback in self._named.items():
            if name in states:
                callback.load_state_dict(states[name])
            elif _has_its_own(callback, "load_state_dict"):
                logger.warning("The checkpoint has no state of the callback %r; it begins anew.", name)

    def _tell(self, moment: str, *arguments: Any) -> None:
        for method in self._listening[moment]:
            method(*arguments)

    def _find_listening(self, moment: str) -> list[Callable[..., Any]]:
        return [getattr(callback, moment) for callback in self._named.values() if _has_its_own(callback, moment)]


_MOMENTS = tuple(name for name in vars(PyTorchCallback) if name.startswith("on_"))


def _checked(named: Any) -> dict[str, PyTorchCallback]:
    """Return what ``build_callbacks`` gave as a dict, if it is one of names to callbacks."""
    rule = "build_callbacks() returns a dict of names to PyTorchCallback objects"
    if not isinstance(named, Mapping):
        raise mistake(rule, f"It returned {type(named).__name__}.")
    names: dict[int, str] = {}
    for name, callback in named.items():
        if not isinstance(name, str):
            raise mistake(rule, f"{name!r} is no name.")
        if not isinstance(callback, PyTorchCallback):
            is_class = isinstance(callback, type)
            raise mistake(
                rule,
                f"{name!r} is {f'the class {callback.__name__}' if is_class else f'a {type(callback).__name__}'}.",
                f"Write `{callback.__name__}(…)`, with its arguments." if is_class else None,
            )
        if id(callback) in names:
            raise mistake(
                "Each callback has one name, by which its state is kept",
                f"{names[id(callback)]!r} and {name!r} are the same {type(callback).__name__}.",
                f"Make a {type(callback).__name__} for each, or leave one of the names out.",
            )
        names[id(callback)] = name
    return dict(named)


def _has_its_own(callback: PyTorchCallback, method: str) -> bool:
    return getattr(type(callback), method) is not getattr(PyTorchCallback, method) or method in getattr(callback, "__dict__", ())


def _with_epoch_idx(method: Callable[..., Any]) -> Callable[[int], Any]:
    """Return a method for the start of an epoch such that it can be given the epoch; until 0.17.9 it took no argument."""
    try:
        inspect.signature(method).bind(0)
    except TypeError:
        owner = type(getattr(method, "__self__", method)).__name__
        logger.warning("%s.on_training_epoch_start() takes no epoch_idx, as before Determined 0.17.9; it is called without.", owner)
        return lambda _: method()
    return method
