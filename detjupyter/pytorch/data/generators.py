"""Random-number generators that a sampler, a dataset or a trial keeps as attributes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch

from detjupyter.pytorch.randomness import mixed_seed

Generator = torch.Generator | np.random.RandomState | np.random.Generator | random.Random

_MAX_OBJECTS = 500
_MAX_ENTRIES = 64
_NOT_SEARCHED = (torch.Tensor, np.ndarray, torch.nn.Module, random.SystemRandom, ModuleType, type, str, bytes, int, float)


def find_generators(owner: object, *, without: object = None) -> dict[str, Generator]:
    """Return the generators among the attributes of ``owner``, and of the objects in its attributes, by dotted path.

    The search skips containers with more than 64 entries, and ends after 500 objects: a dataset of a million records keeps its generator
    next to them, not among them. ``without`` is not searched either: a sampler refers to its dataset, whose generators are not the
    sampler's.
    """
    found: dict[str, Generator] = {}
    seen: set[int] = {id(without)}
    waiting: list[tuple[str, object]] = [("", owner)]
    while waiting and len(seen) < _MAX_OBJECTS:
        path, value = waiting.pop(0)  # breadth first, so that the limit cuts off the objects farthest from the owner
        if id(value) in seen or isinstance(value, _NOT_SEARCHED):
            continue
        seen.add(id(value))
        if isinstance(value, Generator):
            found[path.removeprefix(".")] = value
        else:
            waiting += [(f"{path}.{name}", inner) for name, inner in _inside(value)]
    return found


def states_of(generators: Mapping[str, Generator]) -> dict[str, Any]:
    """Return the generators' states, which contain only tensors, numbers and text, so that a checkpoint can hold them."""
    return {path: _state(generator) for path, generator in generators.items()}


def set_states(generators: Mapping[str, Generator], states: Mapping[str, Any]) -> None:
    """Set each generator that has an entry in ``states`` to that state."""
    for path, generator in generators.items():
        if path in states:
            _set_state(generator, states[path])


def require_settable(states: Mapping[str, Any], generators: Mapping[str, Generator] | None = None) -> None:
    """Raise an exception, of any class, if :func:`set_states` could not set one of ``states``. No generator of ``generators`` changes.

    Args:
        states: The states, from a checkpoint.
        generators: The generators that exist already. For the others, the kind of generator is the one that has such a state.
    """
    for path, state in dict(states).items():
        known = (generators or {}).get(path)
        if known is None and isinstance(state, torch.Tensor):
            if state.dtype != torch.uint8 or state.dim() != 1:  # its size depends on the device of the generator
                raise TypeError(f"the state of {path} is not that of a generator")
            continue
        generator = _new_for(state) if known is None else _new_like(known)
        if generator is not None:
            _set_state(generator, state)


def _new_like(generator: Generator) -> Generator:
    if isinstance(generator, torch.Generator):
        return torch.Generator(generator.device)
    if isinstance(generator, np.random.RandomState):
        return np.random.RandomState(0)
    if isinstance(generator, np.random.Generator):
        kind: Any = type(generator.bit_generator)
        return np.random.Generator(kind(0))
    return random.Random(0)


def _new_for(state: Any) -> Generator | None:
    """Return a generator that such a state belongs to; None if it belongs to one of another package."""
    if isinstance(state, Mapping):
        kind: Any = getattr(np.random, state["bit_generator"], None)
        is_numpys = isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)
        return np.random.Generator(kind(0)) if is_numpys else None
    return np.random.RandomState(0) if isinstance(state[0], str) else random.Random(0)


def seed_generators(generators: Mapping[str, Generator], seed: int) -> None:
    """Seed every generator by ``seed`` and its position in ``generators``, so that no two of them draw the same numbers."""
    for number, generator in enumerate(generators.values()):
        own = mixed_seed(seed, number)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(own)
        elif isinstance(generator, np.random.RandomState):
            generator.seed(own % 2**32)  # numpy takes 32 bits here
        elif isinstance(generator, np.random.Generator):
            kind: Any = type(generator.bit_generator)
            generator.bit_generator.state = kind(own).state  # in place, because the owner refers to this generator
        else:
            generator.seed(own)


def _inside(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        if len(value) <= _MAX_ENTRIES:
            yield from ((str(name), inner) for name, inner in value.items())
    elif isinstance(value, (list, tuple)):
        if len(value) <= _MAX_ENTRIES:
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
    """Convert arrays and numpy scalars to Python's types: ``torch.load`` with ``weights_only`` does not read the former."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return tuple(_plain(inner) for inner in value) if isinstance(value, tuple) else value
