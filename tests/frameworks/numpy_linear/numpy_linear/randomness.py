"""The random states of Python and numpy: those of the process, and those of a trial that take their place for a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def states_now() -> list[Any]:
    """Return the states of the process, of nothing but lists, numbers and text."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return [[version, list(internal), gauss], [name, keys.tolist(), position, has_gauss, cached]]


def install(states: list[Any]) -> None:
    """Make ``states`` those of the process."""
    (version, internal, gauss), (name, keys, *rest) = states
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))


def seeded(seed: int) -> list[Any]:
    """Return the states that ``seed`` makes; the process's stay as they are."""
    with kept():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        return states_now()


@contextmanager
def kept() -> Iterator[None]:
    """Restore the states of the process when the block ends."""
    before = states_now()
    try:
        yield
    finally:
        install(before)


class Stream:
    """The random states of one trial."""

    def __init__(self, states: list[Any]) -> None:
        self._states = states
        self._is_active = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from these states inside the block, which may be nested."""
        if self._is_active:
            yield
            return
        with kept():
            install(self._states)
            self._is_active = True
            try:
                yield
            finally:
                self._is_active = False
                self._states = states_now()

    @property
    def states(self) -> list[Any]:
        """The states as they are."""
        return states_now() if self._is_active else self._states

    @states.setter
    def states(self, states: list[Any]) -> None:
        if self._is_active:
            install(states)
        self._states = states
