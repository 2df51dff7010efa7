"""Callbacks: methods of a trial that are called at defined points of its training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from detjupyter.errors import TrialUsageError
from detjupyter.framework.warning import warn
from detjupyter.protocol.events import Until


class PyTorchCallback:
    """The base class of callbacks: every method is a hook that does nothing by default.

    ``PyTorchTrial.build_callbacks`` returns callbacks by name. In a run, the hooks are called in the order of the methods below.
    """

    def on_trial_startup(self, first_batch_idx: int, checkpoint_uuid: str | None) -> None:
        """Before the data loaders are built; ``checkpoint_uuid`` is the checkpoint that the trial was restored from, None without one."""

    def on_checkpoint_load_start(self, checkpoint: dict[str, Any]) -> None:
        """Before a state is loaded into the trial; the callback can change the dict."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""

    def on_training_start(self) -> None:
        """Once, after the data was built and before the first batch."""

    def on_training_epoch_start(self, epoch_idx: int) -> None:
        """Before the first batch of an epoch; not if a training continues in the middle of an epoch."""

    def on_train_step_start(self, step_id: int) -> None:
        """Before a reporting period, which Determined called a step until 0.12.11; ``step_id`` counts them from 1."""

    def on_before_optimizer_step(self, parameters: Any) -> None:
        """Before an update, with the optimizer's parameters; only for trials that define ``build_model``."""

    def on_training_epoch_end(self, epoch_idx: int) -> None:
        """After the last batch of an epoch."""

    def on_training_workload_end(self, avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
        """After a reporting period, with the metrics of its batches on the host, and their averages."""

    def on_train_step_end(self, step_id: int, metrics: dict[str, Any]) -> None:
        """After a reporting period; ``metrics`` has the keys ``avg_metrics`` and ``batch_metrics``. Determined's name until 0.12.11."""

    def on_validation_step_start(self) -> None:
        """Before a validation. Determined's name until 0.20."""

    def on_validation_start(self) -> None:
        """Before a validation."""

    def on_validation_epoch_start(self) -> None:
        """Before the first validation batch; not with ``evaluate_full_dataset``."""

    def on_validation_epoch_end(self, outputs: list[dict[str, Any]]) -> None:
        """After the last validation batch, with the results of ``evaluate_batch`` on the host; not with ``evaluate_full_dataset``."""

    def on_validation_step_end(self, metrics: dict[str, Any]) -> None:
        """After a validation, with its reduced metrics. Determined's name until 0.20."""

    def on_validation_end(self, metrics: dict[str, Any]) -> None:
        """After a validation, with its reduced metrics."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the callback for a checkpoint: tensors, numbers and text."""
        return {}

    def on_checkpoint_save_start(self, checkpoint: dict[str, Any]) -> None:
        """Before a state is written; the callback can change the dict."""

    def on_checkpoint_end(self, checkpoint_dir: str) -> None:
        """After the files of a checkpoint were written; the callback can add files."""

    def on_checkpoint_write_end(self, checkpoint_dir: str) -> None:
        """After the files of a checkpoint were written; the callback can add files."""

    def on_checkpoint_upload_end(self, uuid: str) -> None:
        """When a checkpoint is complete."""

    def on_trial_shutdown(self) -> None:
        """When the trial has ended, for any reason."""


class ClipGradsL2Norm(PyTorchCallback):
    """Scales the gradients down to an L2 norm of at most ``clip_value`` before each update."""

    def __init__(self, clip_value: float) -> None:
        self._clip_value = clip_value

    def on_before_optimizer_step(self, parameters: Any) -> None:
        """Clip the gradients by their norm."""
        torch.nn.utils.clip_grad_norm_(parameters, self._clip_value)


class ClipGradsL2Value(PyTorchCallback):
    """Clips each element of the gradients to -``clip_value``..``clip_value`` before each update."""

    def __init__(self, clip_value: float) -> None:
        self._clip_value = clip_value

    def on_before_optimizer_step(self, parameters: Any) -> None:
        """Clip the gradients by their values."""
        torch.nn.utils.clip_grad_value_(parameters, self._clip_value)


class Callbacks:
    """A trial's callbacks: each method calls that hook of every callback that overrides it, in the order of the dict.

    The overriding methods are looked up only once, when this object is created. A hook that no callback overrides costs an empty loop.

    Raises:
        TrialUsageError: ``build_callbacks`` did not return a dict of names to callbacks, or one callback has two names.
    """

    def __init__(self, named: Any) -> None:
        self._named = _checked({} if named is None else named)
        self._overriding = {hook: self._find_overriding(hook) for hook in _HOOKS}
        self._epoch_starts = [_with_epoch_idx(method) for method in self._overriding["on_training_epoch_start"]]

    def __contains__(self, name: str) -> bool:
        return name in self._named

    def overriding(self, hook: str) -> list[Callable[..., Any]]:
        """Return the methods of the callbacks that override a hook."""
        return list(self._overriding[hook])

    def overrides(self, hook: str) -> bool:
        """Return whether any callback overrides a hook."""
        return bool(self._overriding[hook])

    @property
    def wants_report_periods(self) -> bool:
        """Whether any callback uses the metrics of reporting periods, under today's name of the hook or that of 0.12."""
        return self.overrides("on_training_workload_end") or self.overrides("on_train_step_end")

    def on_train_step_start(self, step_id: int) -> None:
        """Announce a reporting period."""
        self._call("on_train_step_start", step_id)

    def on_train_step_end(self, step_id: int, metrics: dict[str, Any]) -> None:
        """Pass the metrics of a reporting period, under the hook's name of 0.12."""
        self._call("on_train_step_end", step_id, metrics)

    def on_trial_startup(self, first_batch_idx: int, checkpoint_uuid: str | None) -> None:
        """Announce the beginning of the trial."""
        self._call("on_trial_startup", first_batch_idx, checkpoint_uuid)

    def on_checkpoint_load_start(self, checkpoint: dict[str, Any]) -> None:
        """Pass a state before it is loaded."""
        self._call("on_checkpoint_load_start", checkpoint)

    def on_training_start(self) -> None:
        """Announce the first batch."""
        self._call("on_training_start")

    def on_training_epoch_start(self, epoch_idx: int) -> None:
        """Announce an epoch. A method that was written before Determined 0.17.9 is called without an argument."""
        for method in self._epoch_starts:
            method(epoch_idx)

    def on_training_epoch_end(self, epoch_idx: int) -> None:
        """Announce the end of an epoch."""
        self._call("on_training_epoch_end", epoch_idx)

    def on_training_workload_end(self, avg_metrics: dict[str, Any], batch_metrics: list[dict[str, Any]]) -> None:
        """Pass the metrics of a reporting period."""
        for method in self._overriding["on_training_workload_end"]:  # with keywords, like Determined; most hooks get positional arguments
            method(avg_metrics=avg_metrics, batch_metrics=batch_metrics)

    def on_validation_step_start(self) -> None:
        """Announce a validation, under the hook's name until 0.20."""
        self._call("on_validation_step_start")

    def on_validation_start(self) -> None:
        """Announce a validation."""
        self._call("on_validation_start")

    def on_validation_epoch_start(self) -> None:
        """Announce the first validation batch."""
        self._call("on_validation_epoch_start")

    def on_validation_epoch_end(self, outputs: list[dict[str, Any]]) -> None:
        """Pass the results of all validation batches."""
        self._call("on_validation_epoch_end", outputs)

    def on_validation_step_end(self, metrics: dict[str, Any]) -> None:
        """Pass the metrics of a validation, under the hook's name until 0.20."""
        self._call("on_validation_step_end", metrics)

    def on_validation_end(self, metrics: dict[str, Any]) -> None:
        """Pass the metrics of a validation."""
        self._call("on_validation_end", metrics)

    def on_checkpoint_save_start(self, checkpoint: dict[str, Any]) -> None:
        """Pass a state before it is written."""
        self._call("on_checkpoint_save_start", checkpoint)

    def on_checkpoint_written(self, checkpoint_dir: str) -> None:
        """Pass the directory of a checkpoint to each callback in turn, under both names of the hook."""
        for callback in self._named.values():
            callback.on_checkpoint_end(checkpoint_dir)
            callback.on_checkpoint_write_end(checkpoint_dir)

    def on_checkpoint_upload_end(self, uuid: str) -> None:
        """Announce that a checkpoint is complete."""
        for method in self._overriding["on_checkpoint_upload_end"]:
            method(uuid=uuid)

    def on_trial_shutdown(self) -> None:
        """Announce the end of the trial, to the last callback first. All of them are called before the first exception is raised."""
        failure: Exception | None = None
        for method in reversed(self._overriding["on_trial_shutdown"]):
            try:
                method()
            except Exception as error:  # the other callbacks may have to close files, too
                failure = failure or error
        if failure is not None:
            raise failure

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Return the states of all callbacks, by name."""
        return {name: callback.state_dict() for name, callback in self._named.items()}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Load each callback's state; warn of a callback that overrides ``load_state_dict`` and has no state in ``states``."""
        for name, callback in self._named.items():
            if name in states:
                callback.load_state_dict(states[name])
            elif _is_overridden(callback, "load_state_dict"):
                warn(f"The checkpoint has no state for the callback {name!r}; the callback keeps its initial state.", Until.RESTORE)

    def _call(self, hook: str, *arguments: Any) -> None:
        for method in self._overriding[hook]:
            method(*arguments)

    def _find_overriding(self, hook: str) -> list[Callable[..., Any]]:
        return [getattr(callback, hook) for callback in self._named.values() if _is_overridden(callback, hook)]


_HOOKS = tuple(name for name in vars(PyTorchCallback) if name.startswith("on_"))


def _checked(named: Any) -> dict[str, PyTorchCallback]:
    """Return the result of ``build_callbacks`` as a dict, after checking that it maps names to callbacks."""
    rule = "build_callbacks() must return a dict of names to PyTorchCallback objects."
    if not isinstance(named, Mapping):
        raise TrialUsageError(rule, f"It returned {type(named).__name__}.")
    names: dict[int, str] = {}
    for name, callback in named.items():
        if not isinstance(name, str):
            raise TrialUsageError(rule, f"The key {name!r} is not a string.")
        if not isinstance(callback, PyTorchCallback):
            is_class = isinstance(callback, type)
            raise TrialUsageError(
                rule,
                f"{name!r} is {f'the class {callback.__name__}' if is_class else f'a {type(callback).__name__}'}.",
                f"Write `{callback.__name__}(…)`, with its arguments." if is_class else None,
            )
        if id(callback) in names:
            raise TrialUsageError(
                "Each callback must have exactly one name, because checkpoints store its state under that name.",
                f"{names[id(callback)]!r} and {name!r} are the same {type(callback).__name__}.",
                f"Make a {type(callback).__name__} for each, or leave one of the names out.",
            )
        names[id(callback)] = name
    return dict(named)


def _is_overridden(callback: PyTorchCallback, method: str) -> bool:
    return getattr(type(callback), method) is not getattr(PyTorchCallback, method) or method in getattr(callback, "__dict__", ())


def _with_epoch_idx(method: Callable[..., Any]) -> Callable[[int], Any]:
    """Return ``method``, wrapped if it takes no ``epoch_idx``: Determined passed none until 0.17.9."""
    try:
        inspect.signature(method).bind(0)
    except TypeError:
        owner = type(getattr(method, "__self__", method)).__name__
        warn(f"{owner}.on_training_epoch_start() takes no epoch_idx (as before Determined 0.17.9); it is called without it.")
        return lambda _: method()
    return method
