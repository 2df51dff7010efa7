"""Exchanges the states of Python's and numpy's global random-number generators within a microsecond.

Both generators are Mersenne Twisters with 624 words. ``random.getstate``, ``np.random.get_state`` and their setters make a Python object of
every word, which takes 3 to 45 µs: too long for every batch. This module copies the words as one block of memory instead. At import it
tests, on separate generators, whether the words are where it expects them. If they are not, as with another interpreter or another numpy,
it uses the public functions.
"""

from __future__ import annotations

import ctypes
import random
import struct
import sys
import sysconfig
import threading
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from detjupyter.errors import UnsupportedError

_WORDS = struct.Struct("=625I")  # 624 words and the position of the next one
_KEPT = struct.Struct("=i4xd")  # numpy's has_gauss and gauss

HostState = tuple[bytes, "float | None", bytes, bytes]
"""The states of both generators, in the byte layout of memory: Python's position and words, Python's cached normal number, numpy's words
and position, numpy's cached normal number.

Normal numbers are drawn in pairs; the second one is cached for the next call of ``random.gauss`` or ``np.random.randn``.
"""


def python_state(state: tuple[Any, ...]) -> tuple[bytes, float | None]:
    """Convert the result of ``random.getstate`` to Python's half of a :data:`HostState`.

    Raises:
        UnsupportedError: The state has another version of Python's generator.
    """
    version, (*words, position), kept = state
    if version != random.Random.VERSION:
        raise UnsupportedError(f"Unknown version {version} of the state of Python's random; expected {random.Random.VERSION}.")
    return _WORDS.pack(position, *words), kept


def python_tuple(state: HostState) -> tuple[Any, ...]:
    """Return Python's half of ``state`` as ``random.getstate`` returns it."""
    position, *words = _WORDS.unpack(state[0])
    return random.Random.VERSION, (*words, position), state[1]


def numpy_state(state: Any) -> tuple[bytes, bytes]:  # Any: numpy's own types call it a tuple or a dict
    """Convert the result of ``np.random.get_state`` to numpy's half of a :data:`HostState`.

    Raises:
        UnsupportedError: It is not the state of a Mersenne Twister.
    """
    name = state["bit_generator"] if isinstance(state, Mapping) else state[0]
    if name != "MT19937":
        hint = "Go back to its default: np.random.set_bit_generator(np.random.MT19937())."
        raise UnsupportedError(f"np.random draws from {name}; only MT19937 is supported.", hint=hint)
    _, words, position, has_kept, kept = state
    return _WORDS.pack(*np.asarray(words).tolist(), position), _KEPT.pack(has_kept, kept)


def numpy_tuple(state: HostState) -> tuple[str, list[int], int, int, float]:
    """Return numpy's half of ``state`` as ``np.random.get_state`` returns it, but with a list of words."""
    *words, position = _WORDS.unpack(state[2])
    has_kept, kept = _KEPT.unpack(state[3])
    return "MT19937", words, position, has_kept, kept


class HostGenerators:
    """One generator of Python and one of numpy, by default the global ones of the modules ``random`` and ``np.random``.

    Thread: any. The words are copied while the interpreter's lock and numpy's own lock are held, like in the generators' methods.
    """

    def __init__(self, python: random.Random = random._inst, numpy: np.random.RandomState = np.random.mtrand._rand) -> None:
        self._python: Any = python  # Any: its gauss_next is missing in the stubs
        self._numpy: Any = numpy  # Any: set_state takes a list, too
        self._memory: _Memory | None = None

    def state(self) -> HostState:
        """Return the present states.

        Raises:
            UnsupportedError: numpy's generator is not a Mersenne Twister.
        """
        memory = self._found()
        if memory is not None:
            with memory.lock:
                return memory.python.tobytes(), self._python.gauss_next, memory.numpy.tobytes(), memory.kept.tobytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns about another bit generator; the error below says what to do
            return (*python_state(self._python.getstate()), *numpy_state(self._numpy.get_state()))

    def exchange(self, state: HostState) -> HostState:
        """Continue from ``state``, and return the previous states.

        Raises:
            UnsupportedError: numpy's generator is not a Mersenne Twister.
        """
        memory, python = self._found(), self._python
        if memory is None:
            before = self.state()
            python.setstate(python_tuple(state))
            self._numpy.set_state(numpy_tuple(state))
            return before
        python_words, numpy_words, kept, lock, _ = memory
        with lock:
            before = (python_words.tobytes(), python.gauss_next, numpy_words.tobytes(), kept.tobytes())
            python_words[:], python.gauss_next, numpy_words[:], kept[:] = state
        return before

    def _found(self) -> _Memory | None:
        """Return where the states are in memory, None if that is unknown."""
        memory, current = self._memory, getattr(self._numpy, "_bit_generator", None)
        if memory is not None and memory.bit_generator is current:
            return memory
        # Search at the first call, and after np.random.set_bit_generator.
        if _KEPT_OFFSET is None or type(current) is not np.random.MT19937:
            return None
        self._memory = _memory_of(self._python, self._numpy, _KEPT_OFFSET)
        return self._memory


class _Memory(NamedTuple):
    """Where the parts of a :data:`HostState` are in memory.

    Attributes:
        python: Python's position and words.
        numpy: Numpy's words and position.
        kept: Numpy's cached normal number.
        lock: Numpy's own lock: it can draw while the interpreter's lock is not held.
        bit_generator: The object that owns numpy's words. The views are valid only as long as it exists.
    """

    python: memoryview
    numpy: memoryview
    kept: memoryview
    lock: AbstractContextManager[object]
    bit_generator: object


class _Scratch(threading.local):
    """A pair of generators for each thread, to seed again and again: numpy seeds one in 2 µs, but takes 100 µs to make one."""

    def __init__(self) -> None:
        self.python, self.numpy = random.Random(0), np.random.RandomState(0)
        self.generators = HostGenerators(self.python, self.numpy)


def seeded_state(seed: int) -> HostState:
    """Return the states after ``random.seed(seed)`` and ``np.random.seed(seed % 2**32)``, without seeding the global generators.

    Thread: any.
    """
    _scratch.python.seed(seed)
    _scratch.numpy.seed(seed % 2**32)
    return _scratch.generators.state()


def _memory_of(python: random.Random, numpy: Any, kept_offset: int) -> _Memory:
    bit_generator = numpy._bit_generator
    return _Memory(
        _view(id(python) + object.__basicsize__, _WORDS.size),
        _view(bit_generator.ctypes.state_address, _WORDS.size),
        _view(id(numpy) + kept_offset, _KEPT.size),
        bit_generator.lock,
        bit_generator,
    )


def _view(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


def _find_kept_offset() -> int | None:
    """Return the offset of the cached normal number in a RandomState, None if any part of the states is not where this module expects it.

    The test reads and writes the memory of separate generators, and compares with the public functions.
    """
    python, numpy = random.Random(8), np.random.RandomState(8)
    # Without a global interpreter lock, another thread could draw from Python's generator while its words are copied.
    has_one_lock = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    fits = random.Random.__basicsize__ >= object.__basicsize__ + _WORDS.size
    if not (has_one_lock and fits and type(getattr(numpy, "_bit_generator", None)) is np.random.MT19937):
        return None
    numpy.standard_normal()  # the first of a pair
    offset = _view(id(numpy), np.random.RandomState.__basicsize__).tobytes().find(_slow_state(python, numpy)[3])
    if offset < 0 or offset % 8:
        return None
    memory, other = _memory_of(python, numpy, offset), (random.Random(9), np.random.RandomState(9))
    for normals in (0, 1, 2):  # after one normal number the second is cached, after none or two nothing is
        other[1].standard_normal(normals)
        there, wanted = _slow_state(python, numpy), _slow_state(*other)
        if (memory.python.tobytes(), memory.numpy.tobytes(), memory.kept.tobytes()) != (there[0], *there[2:]):
            return None
        memory.python[:], _, memory.numpy[:], memory.kept[:] = wanted
        if _slow_state(python, numpy) != wanted:
            return None
    return offset


def _slow_state(python: random.Random, numpy: np.random.RandomState) -> HostState:
    return (*python_state(python.getstate()), *numpy_state(numpy.get_state()))


_KEPT_OFFSET = _find_kept_offset()
_scratch = _Scratch()
