"""Hyperparameters as a config writes them: nested values, and ranges to sample from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from detjupyter.errors import HyperparameterError

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

    A map whose ``type`` is none of ours is a range with a slip if it has the keys of one, else a plain map (``{type: adam, lr: 0.1}``).
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return False
    return value["type"] in _TYPES or bool(_RANGE_KEYS & value.keys())


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name, names sorted on each level; ranges and empty maps are values."""
    for name in sorted(values, key=str):
        value = values[name]
        if isinstance(value, Mapping) and value and not is_range(value):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def sample(values: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Replace each range by one draw, the way Determined draws a trial (determined_api.md §17.2).

    The generator is numpy's legacy ``RandomState(seed)``; names are taken in sorted order, level by level. An ``int`` range includes its
    maximum, as Determined does since 0.17.

    Args:
        values: Nested hyperparameters; not changed.
        seed: From 0 to 2**32 - 1.

    Raises:
        HyperparameterError: A range lacks a key, or its bounds make no sense; or the seed is out of bounds.
    """
    if not any(is_range(value) for _, value in leaves(values)):
        return _sample(values, "", None)
    import numpy as np

    if not 0 <= seed < 2**32:
        raise HyperparameterError(f"The seed {seed} cannot be used to sample.", name="seed", hint="Give one from 0 to 4294967295.")
    return _sample(values, "", np.random.RandomState(seed))


def _sample(values: Mapping[str, Any], prefix: str, random: np.random.RandomState | None) -> dict[str, Any]:
    """Sample one level; ``random`` is None when there is nothing to draw."""
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
    """Draw from one range."""
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
        return int(random.randint(int(low), int(high) + 1))
    drawn = float(random.uniform(low, high))
    if kind == "double":
        return drawn
    base = given.get("base", 10)
    if not _is_number(base) or base <= 0:
        raise HyperparameterError(f"The hyperparameter {name} has base {base!r}, not a positive number.", name=name)
    return float(base**drawn)


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
