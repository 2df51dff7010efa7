"""Integer attributes of samplers, loaders and datasets: many count their epochs, and shuffle by that count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

_MAX_DEPTH = 8  # parts nested in each other


class Counters:
    """The counters of a loader's parts, which can be restored to their values at the beginning of an epoch.

    Only attributes of the parts themselves are counters. Attributes of objects inside them are not: a number in a queue or a pool of
    threads belongs to the process.

    Args:
        owner: A sampler, or a loader.
        parts_of: Returns the objects that have counters, in the same order every time: :func:`samplers_of` or :func:`parts_of_loader`.
    """

    def __init__(self, owner: Any, parts_of: Callable[[Any], Iterable[Any]]) -> None:
        self._owner = owner
        self._parts_of = parts_of
        self._initial = self._read()

    def moved(self) -> dict[str, int]:
        """Return the counters that differ from their initial values, as ``{"<part>.<attribute>": value}``; parts are numbered from 0."""
        return {path: value for path, value in self._read().items() if self._initial.get(path) != value}

    def set(self, moved: Mapping[str, int]) -> None:
        """Set the counters in ``moved`` to their values there, and all others to their initial values."""
        for number, part in enumerate(self._parts_of(self._owner)):
            for name, value in list(getattr(part, "__dict__", {}).items()):
                path = f"{number}.{name}"
                then = moved.get(path, self._initial.get(path, value))
                if type(value) is int and value != then:
                    setattr(part, name, then)

    def _read(self) -> dict[str, int]:
        parts = ((number, getattr(part, "__dict__", {})) for number, part in enumerate(self._parts_of(self._owner)))
        return {f"{number}.{name}": value for number, attributes in parts for name, value in attributes.items() if type(value) is int}


def samplers_of(sampler: Any) -> Iterator[Any]:
    """Yield a sampler and the samplers that it draws from, the outermost first."""
    return _chain(sampler, "batch_sampler", "sampler")


def parts_of_loader(loader: Any) -> Iterator[Any]:
    """Yield a loader, its dataset, the datasets that this one wraps, and its samplers."""
    yield loader
    for name in ("dataset", "batch_sampler", "sampler"):
        part = getattr(loader, name, None)
        if part is not None:
            yield from _chain(part, "dataset") if name == "dataset" else samplers_of(part)


def _chain(part: Any, *names: str) -> Iterator[Any]:
    """Yield ``part``, then the value of the first of the attributes ``names`` that it has, and so on inward."""
    for _ in range(_MAX_DEPTH):
        yield part
        part = next((inner for name in names if (inner := getattr(part, name, None)) is not None), None)
        if part is None:
            return
