"""Random-number generators that a sampler or a dataset keeps for itself, as attributes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch

from detjupyter.pytorch.randomness import mixed_seed

Generator = torch.Generator | np.random.RandomState | np.random.Generator | random.Random

_MOST_OBJECTS = 500
_MOST_ENTRIES = 64
_NEVER_INSIDE = (torch.Tensor, np.ndarray, torch.nn.Module, random.SystemRandom, ModuleType, type, str, bytes, int, float)


def find_generators(owner: object, *, without: object = None) -> dict[str, Generator]:
    """Return the generators that are attributes of ``owner``, or of what its attributes hold, by dotted path.

    Large containers are not searched, nor more than a few hundred objects: a dataset of a million records keeps its generator beside them.
    What belongs to ``without`` is left out, too: samplers hold the dataset that they draw from.
    """
    found: dict[str, Generator] = {}
    seen: set[int] = {id(without)}
    waiting: list[tuple[str, object]] = [("", owner)]
    while waiting and len(seen) < _MOST_OBJECTS:
        path, value = waiting.pop(0)
        if id(value) in seen or isinstance(value, _NEVER_INSIDE):
            continue
        seen.add(id(value))
        if isinstance(value, Generator):
            found[path.removeprefix(".")] = value
        else:
            waiting += [(f"{path}.{name}", inner) for name, inner in _inside(value)]
    return found


def states_of(generators: Mapping[str, Generator]) -> dict[str, Any]:
    """Return the generators' states, of nothing but tensors, numbers and text."""
    return {path: _state(generator) for path, generator in generators.items()}


def set_states(generators: Mapping[str, Generator], states: Mapping[str, Any]) -> None:
    """Put the generators that ``states`` knows where they were."""
    for path, generator in generators.items():
        if path in states:
            _set_state(generator, states[path])


def seed_generators(generators: Mapping[str, Generator], seed: int) -> None:
    """Seed every generator from ``seed`` and its place."""
    for number, generator in enumerate(generators.values()):
        own = mixed_seed(seed, number)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(own)
        elif isinstance(generator, np.random.RandomState):
            generator.seed(own % 2**32)
        elif isinstance(generator, np.random.Generator):
            kind: Any = type(generator.bit_generator)
            generator.bit_generator.state = kind(own).state
        else:
            generator.seed(own)


def _inside(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        if len(value) <= _MOST_ENTRIES:
            yield from ((str(name), inner) for name, inner in value.items())
    elif isinstance(value, (list, tuple)):
        if len(value) <= _MOST_ENTRIES:
            yield from ((str(index), inner) for index, inner in enumerate(value))
    else:
        yield from getattr(value, "__dict__", {}).items()


def _state(generator: Generator) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state())
    if isinstance(generator, np.random.Generator):
        return _plain(generator.bit_generator.state)
    return generator.getstate()


def _set_state(generator: Generator, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.RandomState):
        name, keys, *rest = state
        generator.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        version, internal, gauss = state
        generator.setstate((version, tuple(internal), gauss))


def _plain(value: Any) -> Any:
    """Replace arrays and numpy's numbers, which a checkpoint that unpickles nothing cannot hold."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return tuple(_plain(inner) for inner in value) if isinstance(value, tuple) else value
