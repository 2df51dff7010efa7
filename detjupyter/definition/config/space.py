"""Hyperparameters of a config: nested values, and ranges to sample from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from detjupyter.errors import ArgumentError, HyperparameterError

if TYPE_CHECKING:
    import numpy as np

_TYPES = ("const", "int", "double", "log", "categorical")
_NEEDED = {
    "const": ("val",),
    "int": ("minval", "maxval"),
    "double": ("minval", "maxval"),
    "log": ("minval", "maxval"),
    "categorical": ("vals",),
}
_RANGE_KEYS = frozenset({"val", "vals", "minval", "maxval", "base", "count"})


def is_range(value: object) -> bool:
    """Return whether a value is a range (``{type: int, minval: 1, maxval: 8}``), and not a value or a map of hyperparameters.

    A map with an unknown ``type`` is a misspelled range if it has the keys of a range, else a plain map (``{type: adam, lr: 0.1}``).
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return False
    return value["type"] in _TYPES or bool(_RANGE_KEYS & value.keys())


def leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name, names sorted on each level; ranges and empty maps are values."""
    return ((".".join(path), value) for path, value in leaf_paths(values))


def leaf_paths(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value with the tuple of names that lead to it, in the same order."""
    for name in sorted(values, key=str):
        value = values[name]
        if isinstance(value, Mapping) and value and not is_range(value):
            yield from leaf_paths(value, (*above, str(name)))
        else:
            yield (*above, str(name)), value


def sample(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Replace each range by one sampled value, as Determined samples a trial.

    The generator is numpy's legacy ``RandomState(seed)``; names are sampled in sorted order, level by level (Determined itself has no
    defined order for nested ones). ``int`` uses ``randint`` and includes its maximum, as Determined does since 0.17; ``double`` uses
    ``uniform``; ``log`` is ``base ** uniform`` with a default base of 10; ``categorical`` uses ``randint`` over its values; ``const`` uses
    no random number.

    Args:
        values: Nested hyperparameters; not changed.
        seed: From 0 to 2**32 - 1.

    Raises:
        HyperparameterError: A range lacks a key or has invalid bounds.
        ArgumentError: There is a range, and the seed is out of range.
    """
    if not any(is_range(value) for _, value in leaves(values)):
        return _sample(values, "", None)
    import numpy as np

    if not 0 <= seed < 2**32:
        raise ArgumentError(f"Ranges cannot be sampled with the seed {seed}.", hint="Give a seed from 0 to 4294967295.")
    return _sample(values, "", np.random.RandomState(seed))


def _sample(values: Mapping[str, Any], prefix: str, random: np.random.RandomState | None) -> dict[str, Any]:
    """Sample one level; ``random`` is None if there is nothing to sample."""
    sampled: dict[str, Any] = {}
    for name in sorted(values, key=str):
        value = values[name]
        if random is not None and is_range(value):
            sampled[name] = _draw(f"{prefix}{name}", value, random)
        elif isinstance(value, Mapping):
            sampled[name] = _sample(value, f"{prefix}{name}.", random)
        else:
            sampled[name] = value
    return {name: sampled[name] for name in values}  # in the order in which they were written


def _draw(name: str, given: Mapping[str, Any], random: np.random.RandomState) -> Any:
    """Sample one range."""
    kind = given["type"]
    if kind not in _TYPES:
        raise HyperparameterError(
            f"The hyperparameter {name} has the unknown type {kind!r}.", name=name, hint=f"Types: {', '.join(_TYPES)}."
        )
    for key in _NEEDED[kind]:
        if key not in given:
            raise HyperparameterError(f"The hyperparameter {name} of type {kind} has no {key!r}.", name=name, hint=f"It has {dict(given)}.")
    if kind == "const":
        return given["val"]
    if kind == "categorical":
        choices = given["vals"]
        if not isinstance(choices, (list, tuple)) or not choices:
            raise HyperparameterError(f"The hyperparameter {name} has vals {choices!r}, not a list of values.", name=name)
        return choices[int(random.randint(len(choices)))]
    low, high = _bounds(name, given, whole=kind == "int")
    if kind == "int":
        try:
            return int(random.randint(int(low), int(high) + 1))
        except (ValueError, OverflowError):  # numpy's generator has 64 bits, on Windows 32
            raise _too_wide(name, low, high) from None
    try:
        drawn = float(random.uniform(low, high))
    except OverflowError:
        raise _too_wide(name, low, high) from None
    if kind == "double":
        return drawn
    base = given.get("base", 10)
    if not _is_number(base) or base <= 0:
        raise HyperparameterError(f"The hyperparameter {name} has base {base!r}, not a positive number.", name=name)
    try:
        return float(base**drawn)
    except OverflowError:
        raise HyperparameterError(
            f"The hyperparameter {name} is {base} to the power of {drawn:.4g}, which is not a finite number.",
            name=name,
            hint="The bounds of a log range are exponents: -4 and -1 for 0.0001 to 0.1.",
        ) from None


def _too_wide(name: str, low: float, high: float) -> HyperparameterError:
    return HyperparameterError(f"The hyperparameter {name} cannot be sampled between {low} and {high}: the range is too wide.", name=name)


def _bounds(name: str, given: Mapping[str, Any], *, whole: bool) -> tuple[float, float]:
    low, high = given["minval"], given["maxval"]
    for key, bound in (("minval", low), ("maxval", high)):
        if not _is_number(bound) or (whole and not isinstance(bound, int)):
            kind = "a whole number" if whole else "a number"
            raise HyperparameterError(f"The hyperparameter {name} has {key} {bound!r}, not {kind}.", name=name)
    if low > high:
        raise HyperparameterError(f"The hyperparameter {name} has minval {low} above maxval {high}.", name=name)
    return low, high


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
