"""Metrics that the user's own code reduces, over a reporting period or over a validation."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from detjupyter.errors import ReducerError
from detjupyter.pytorch.host import host


class MetricReducer(ABC):
    """Collects the data for a metric during a reporting period or a validation, then reduces it to the metric.

    A subclass defines a method such as ``update``, with any arguments, and the trial calls it in each batch.
    """

    @abstractmethod
    def reset(self) -> None:
        """Drop the collected data, at the beginning of a reporting period or a validation."""

    @abstractmethod
    def per_slot_reduce(self) -> Any:
        """Return the contribution of this process."""

    @abstractmethod
    def cross_slot_reduce(self, per_slot_metrics: list[Any]) -> Any:
        """Return the metric, or a dict of metrics if the reducer has no name, from the contributions of all processes."""


class _FunctionReducer(MetricReducer):
    """Collects values, and reduces the list of all values with a function."""

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
    written: dict[str, _Attribute]  # as the user's code set them, before anything was collected


_COLLECTIONS = (list, dict, set, deque, bytearray, np.ndarray, torch.Tensor)


@dataclass(frozen=True, slots=True)
class _Attribute:
    """A former value of a reducer's attribute; for a collection, which can be changed in place, also its former content."""

    value: Any
    content: bytes | None

    @classmethod
    def of(cls, value: Any) -> _Attribute:
        try:
            return cls(value, pickle.dumps(value) if isinstance(value, _COLLECTIONS) else None)
        except Exception:  # it contains a user's object that cannot be pickled
            return cls(value, None)

    def is_unchanged(self, value: Any) -> bool:
        return value is self.value and self.of(value).content == self.content


class CustomReducers:
    """The reducers of one trial."""

    def __init__(self) -> None:
        self._wrapped: list[_Wrapped] = []

    def __len__(self) -> int:
        return len(self._wrapped)

    def wrap(self, reducer: Any, name: str | None = None, for_training: bool = True, for_validation: bool = True) -> Any:
        """Register a reducer, or a function of the list of all updates, and return the reducer that the trial updates.

        Raises:
            ReducerError: ``reducer`` is neither, or is wrapped already, or ``name`` is not a string.
        """
        if name is not None and not isinstance(name, str):
            raise _usage_error(f"The name of a reducer's metric must be a string or None, got {name!r}.")
        if isinstance(reducer, type) and issubclass(reducer, MetricReducer):
            raise _usage_error(f"wrap_reducer() takes a reducer, but got the class {reducer.__name__}.", f"Write `{reducer.__name__}(…)`.")
        if not isinstance(reducer, MetricReducer):
            if not callable(reducer):
                raise _usage_error(f"wrap_reducer() takes a MetricReducer or a function, not {type(reducer).__name__}.")
            reducer = _FunctionReducer(reducer)
        if any(other.reducer is reducer for other in self._wrapped):
            raise _usage_error("This reducer is wrapped already; wrap another object for another metric.")
        reducer.reset()
        written = {attribute: _Attribute.of(value) for attribute, value in _attributes(reducer).items()}
        self._wrapped.append(_Wrapped(reducer, name, for_training, for_validation, written))
        return reducer

    def adopt(self, other: CustomReducers) -> None:
        """Take over the data that the reducers of an earlier version of the trial have collected.

        These are the attributes that have changed since the earlier code set them. Reducers are matched by their order. A reducer whose
        name or class differs, or that has attributes which the earlier one lacks, starts empty.
        """
        for mine, theirs in zip(self._wrapped, other._wrapped, strict=False):
            new, old = _attributes(mine.reducer), _attributes(theirs.reducer)
            if mine.name == theirs.name and type(mine.reducer).__name__ == type(theirs.reducer).__name__ and new.keys() <= old.keys():
                kept = theirs.written
                # `new` is the __dict__ of the reducer, so this sets its attributes.
                new.update({name: value for name, value in old.items() if name not in kept or not kept[name].is_unchanged(value)})

    def reset(self, *, training: bool) -> None:
        """Reset the reducers for training, or those for validation."""
        for wrapped in self._of(training):
            wrapped.reducer.reset()

    def reset_shared(self) -> None:
        """Reset the reducers that serve both training and validation, so that the two do not mix their data."""
        for wrapped in self._wrapped:
            if wrapped.for_training and wrapped.for_validation:
                wrapped.reducer.reset()

    def reduce(self, *, training: bool) -> dict[str, Any]:
        """Return the metrics of the reducers for training, or of those for validation, on the host.

        Raises:
            ReducerError: A reducer without a name did not return a dict, or a reducer with a name did.
        """
        metrics: dict[str, Any] = {}
        for wrapped in self._of(training):
            value = wrapped.reducer.cross_slot_reduce([wrapped.reducer.per_slot_reduce()])
            if wrapped.name is not None:
                if isinstance(value, dict):
                    what = type(wrapped.reducer).__name__
                    raise _usage_error(f"The reducer {what} was wrapped with name={wrapped.name!r} but it returned a dict anyway.")
                metrics[wrapped.name] = host(value)
            elif isinstance(value, dict):
                metrics.update({name: host(metric) for name, metric in value.items()})
            else:
                raise _usage_error(
                    f"The reducer {type(wrapped.reducer).__name__} was wrapped with name=None but it did not return a dict.",
                    f"It returned {type(value).__name__}; wrap it with a name, or return a dict of names to values.",
                )
        return metrics

    def _of(self, training: bool) -> list[_Wrapped]:
        return [wrapped for wrapped in self._wrapped if (wrapped.for_training if training else wrapped.for_validation)]


def _attributes(reducer: MetricReducer) -> dict[str, Any]:
    return getattr(reducer, "__dict__", {})


def _usage_error(message: str, hint: str | None = None) -> ReducerError:
    return ReducerError(message, hint=hint)
