"""Objects that are in several places of a trial's attributes: a checkpoint holds each place, and a restore makes them one object again."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

_MAX_DEPTH = 16
_CHANGEABLE = (torch.Tensor, np.ndarray, set, list, deque, dict)

Place = tuple[str, tuple[int, ...]]
"""The path of an attribute, and the positions of the items that lead from its value to the object."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an object that belongs to a trial."""

    owner: Any
    name: str
    value: Any


def shared_places(values: Mapping[str, Any]) -> list[list[Place]]:
    """Return, for each object that is in several places of the attributes, these places. Numbers and text need no such list."""
    places: dict[int, list[Place]] = {}
    for path, value in values.items():
        for positions, inner in objects_in(value):
            places.setdefault(id(inner), []).append((path, positions))
    return [same for same in places.values() if len(same) > 1]


def share(groups: Sequence[Sequence[Place]], attributes: Mapping[str, Attribute], in_place: Container[str]) -> None:
    """Make the objects of each group one object.

    Args:
        groups: What :func:`shared_places` returned.
        attributes: The restored attributes, by path.
        in_place: The attributes that still are the objects that ``__init__`` set, to which the trial can have other references.
    """
    for group in groups:
        there = [place for place in group if place[0] in attributes]
        if len(there) < 2:
            continue
        objects = {place: at(attributes[place[0]], place[1]) for place in there}
        # A parameter comes first: a module accepts no other tensor in its place.
        first = min(there, key=lambda place: (type(objects[place]) is not torch.nn.Parameter, place[0] not in in_place, len(place[1])))
        one = objects[first]
        for path, positions in there:
            _put(attributes[path], positions, one)


def objects_in(value: Any, positions: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield ``value`` and the objects in it that can be changed in place. Those in tuples and sets are left out: no place can be set."""
    if not isinstance(value, _CHANGEABLE):
        return
    yield positions, value
    if isinstance(value, (list, deque, dict)) and len(positions) < _MAX_DEPTH:
        for position, inner in enumerate(value.values() if isinstance(value, dict) else value):
            if isinstance(inner, _CHANGEABLE):  # a list can have a million numbers
                yield from objects_in(inner, (*positions, position))


def at(attribute: Attribute, positions: Sequence[int]) -> Any:
    """Return the object at the positions in the value of an attribute.

    Raises:
        LookupError: The value has no such items.
        TypeError: One of the objects on the way cannot be indexed.
    """
    value = getattr(attribute.owner, attribute.name)
    for position in positions:
        value = value[_key(value, position)]
    return value


def set_attribute(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, also that of a frozen dataclass."""
    try:
        setattr(owner, name, value)
    except AttributeError:
        object.__setattr__(owner, name, value)


def delete_attribute(owner: Any, name: str) -> None:
    """Delete an attribute, also that of a frozen dataclass."""
    try:
        delattr(owner, name)
    except AttributeError:
        object.__delattr__(owner, name)


def _put(attribute: Attribute, positions: Sequence[int], one: Any) -> None:
    if at(attribute, positions) is one:
        return
    if not positions:
        set_attribute(attribute.owner, attribute.name, one)
        return
    container = at(attribute, positions[:-1])
    container[_key(container, positions[-1])] = one


def _key(container: Any, position: int) -> Any:
    return list(container)[position] if isinstance(container, dict) else position
