"""Metrics that users reduce themselves, over a stretch of training or over a validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from detjupyter.errors import TrialError
from detjupyter.pytorch.host import host


class ReducerError(TrialError, AssertionError):
    """A custom reducer breaks its rules; also an ``AssertionError``, as in Determined."""


class MetricReducer(ABC):
    """Collects what a metric needs in ``update`` (whatever arguments its author gives it), and reduces it."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was collected: a stretch of training, or a validation, begins."""

    @abstractmethod
    def per_slot_reduce(self) -> Any:
        """Return what this process contributes."""

    @abstractmethod
    def cross_slot_reduce(self, per_slot_metrics: list[Any]) -> Any:
        """Return the metric, of what each process contributed; a dict of metrics if the reducer has no name."""


class _FunctionReducer(MetricReducer):
    """Collects values, and hands the list of them to a function."""

    def __init__(self, function: Callable[[list[Any]], Any]) -> None:
        self._function = function
        self._updates: list[Any] = []

    def update(self, value: Any) -> None:
        """Collect a value."""
        self._updates.append(value)

    def reset(self) -> None:
        self._updates = []

    def per_slot_reduce(self) -> list[Any]:
        return self._updates

    def cross_slot_reduce(self, per_slot_metrics: list[Any]) -> Any:
        return self._function([value for updates in per_slot_metrics for value in updates])


@dataclass(frozen=True, slots=True)
class _Wrapped:
    reducer: MetricReducer
    name: str | None
    for_training: bool
    for_validation: bool


class CustomReducers:
    """The reducers of one trial."""

    def __init__(self) -> None:
        self._wrapped: list[_Wrapped] = []

    def __len__(self) -> int:
        return len(self._wrapped)

    def wrap(self, reducer: Any, name: str | None = None, for_training: bool = True, for_validation: bool = True) -> Any:
        """Take a reducer, or a function of the list of all updates, and return what is to be updated.

        Raises:
            ReducerError: It is neither, or was wrapped before, or its name is no text.
        """
        if name is not None and not isinstance(name, str):
            raise _mistake(f"The name of a reducer's metric is text, or None, not {name!r}.")
        if isinstance(reducer, type) and issubclass(reducer, MetricReducer):
            raise _mistake(f"wrap_reducer() takes a reducer, and got the class {reducer.__name__}.", f"Write `{reducer.__name__}(…)`.")
        if not isinstance(reducer, MetricReducer):
            if not callable(reducer):
                raise _mistake(f"wrap_reducer() takes a MetricReducer or a function, not {type(reducer).__name__}.")
            reducer = _FunctionReducer(reducer)
        if any(other.reducer is reducer for other in self._wrapped):
            raise _mistake("This reducer was wrapped before; wrap another object for another metric.")
        reducer.reset()
        self._wrapped.append(_Wrapped(reducer, name, for_training, for_validation))
        return reducer

    def reset(self, *, training: bool) -> None:
        """Let the reducers of a training, or of a validation, begin anew."""
        for wrapped in self._of(training):
            wrapped.reducer.reset()

    def reset_shared(self) -> None:
        """Let the reducers of both training and validation begin anew: what one of the two collected is nothing to the other."""
        for wrapped in self._wrapped:
            if wrapped.for_training and wrapped.for_validation:
                wrapped.reducer.reset()

    def reduce(self, *, training: bool) -> dict[str, Any]:
        """Return the metrics of the reducers of a training, or of a validation, on the host.

        Raises:
            ReducerError: One without a name returned no dict, or one with a name did.
        """
        metrics: dict[str, Any] = {}
        for wrapped in self._of(training):
            value = wrapped.reducer.cross_slot_reduce([wrapped.reducer.per_slot_reduce()])
            if wrapped.name is not None:
                if isinstance(value, dict):
                    what = type(wrapped.reducer).__name__
                    raise _mistake(f"The reducer {what} was wrapped with name={wrapped.name!r} but it returned a dict anyway.")
                metrics[wrapped.name] = host(value)
            elif isinstance(value, dict):
                metrics.update({name: host(metric) for name, metric in value.items()})
            else:
                raise _mistake(
                    f"The reducer {type(wrapped.reducer).__name__} was wrapped with name=None but it did not return a dict.",
                    f"It returned {type(value).__name__}; wrap it with a name, or return a dict of names to values.",
                )
        return metrics

    def _of(self, training: bool) -> list[_Wrapped]:
        return [wrapped for wrapped in self._wrapped if (wrapped.for_training if training else wrapped.for_validation)]


def _mistake(message: str, hint: str | None = None) -> ReducerError:
    return ReducerError(message, exception="", user_traceback="", hint=hint)
