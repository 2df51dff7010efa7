"""The random states that a trial draws from: Python's, numpy's, torch's on the host and on the device in use.

They belong to the process, so whoever draws moves them for all others. A :class:`RandomStream` is a set of states of its own that takes
their place for a while: what a trial draws then depends on the trial alone, not on what else the kernel draws in between.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class RandomStates:
    """The random states of a process at one moment; ``on_device`` is None where the device is the host."""

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    on_host: torch.Tensor
    on_device: torch.Tensor | None = None

    @classmethod
    def seeded(cls, seed: int, device: torch.device) -> RandomStates:
        """Return what ``random.seed``, ``numpy.random.seed`` and ``torch.manual_seed`` would make, without touching the process."""
        on_device = None
        if _has_states(device):
            on_device = torch.Generator(device).manual_seed(seed).get_state()
        return cls(
            random.Random(seed).getstate(),
            np.random.RandomState(seed % 2**32).get_state(),  # type: ignore[arg-type]  # legacy=True gives the tuple
            torch.Generator().manual_seed(seed).get_state(),
            on_device,
        )

    @classmethod
    def now(cls, device: torch.device) -> RandomStates:
        """Return the states of the process as they are."""
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), _device_state(device))  # type: ignore[arg-type]

    def install(self, device: torch.device) -> None:
        """Make them the states of the process."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.on_host)
        if self.on_device is not None and _has_states(device):
            _set_device_state(device, self.on_device)

    def to_checkpoint(self) -> dict[str, Any]:
        """Return Determined's ``rng_state``, of nothing but tensors and numbers."""
        name, keys, position, has_gauss, cached = self.numpy
        state: dict[str, Any] = {
            "cpu_rng_state": self.on_host,
            "np_rng_state": (name, [int(key) for key in np.asarray(keys)], position, has_gauss, cached),
            "random_rng_state": self.python,
        }
        if self.on_device is not None:
            state["gpu_rng_state"] = self.on_device
        return state

    @classmethod
    def from_checkpoint(cls, state: Mapping[str, Any]) -> RandomStates:
        """Undo :meth:`to_checkpoint`; a list of states of several GPUs counts by its first."""
        name, keys, position, has_gauss, cached = state["np_rng_state"]
        on_device = state.get("gpu_rng_state")
        if isinstance(on_device, (list, tuple)):
            on_device = on_device[0] if on_device else None
        numpy = (name, np.array(keys, dtype=np.uint32), position, has_gauss, cached)
        return cls(_as_tuple(state["random_rng_state"]), numpy, state["cpu_rng_state"].cpu(), on_device)


class _Threads:
    """The threads that draw from streams, and the process's own states meanwhile.

    Where two trials train at the same time, the first one finds these, and the last one puts them back. ``lock`` is held around both
    methods and what belongs to them.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._depths: dict[int, int] = {}
        self._own: RandomStates | None = None

    def enter(self, now: RandomStates) -> bool:
        """Take note of a block in this thread; return whether ``now`` are the process's own states."""
        ident = threading.get_ident()
        is_first = not self._depths
        if is_first:
            self._own = now
        self._depths[ident] = self._depths.get(ident, 0) + 1
        return is_first

    def leave(self) -> RandomStates | None:
        """Take note of the end of a block; return the process's own states at the end of the last one."""
        ident = threading.get_ident()
        left = self._depths.pop(ident, 1) - 1  # 1: begun in the process that this one was forked from
        if left:
            self._depths[ident] = left
        return None if self._depths else self._own


_threads = _Threads()


class RandomStream:
    """Random states of its own, in the place of the process's while the block of :meth:`active` runs.

    Thread: one at a time; what other threads draw meanwhile moves them.
    """

    def __init__(self, states: RandomStates, device: torch.device) -> None:
        self.states = states
        self._device = device
        self._is_active = False

    @classmethod
    def of(cls, seed: int, *place: int) -> RandomStream:
        """Return the stream of a place in the data (numbers that tell it from all others), of the host alone."""
        return cls(RandomStates.seeded(mixed_seed(seed, *place), _HOST), _HOST)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this stream inside the block, which may be nested; the process's own states are as before afterwards."""
        if self._is_active:
            yield
            return
        with _threads.lock:
            outside = RandomStates.now(self._device)
            is_first = _threads.enter(outside)
        self.states.install(self._device)
        self._is_active = True
        try:
            yield
        finally:
            self._is_active = False
            self.states = RandomStates.now(self._device)
            with _threads.lock:
                own = _threads.leave()
                if own is not None:  # nobody else's stream is left
                    outside = replace(own, on_device=outside.on_device)
                if own is not None or not is_first:
                    outside.install(self._device)

    def capture(self) -> RandomStates:
        """Return the states as they are, inside the block and outside of it."""
        return RandomStates.now(self._device) if self._is_active else self.states

    def replace(self, states: RandomStates) -> None:
        """Go on from ``states``; what they lack (a device they were not taken on) stays."""
        if self._is_active:
            states.install(self._device)
            return
        on_device = self.states.on_device if states.on_device is None or self.states.on_device is None else states.on_device
        self.states = RandomStates(states.python, states.numpy, states.on_host, on_device)


def mixed_seed(seed: int, *place: int) -> int:
    """Return a seed of 63 bits that differs from place to place, though the places are neighbours."""
    low, high = np.random.SeedSequence((seed, *place)).generate_state(2)
    return int(high) << 31 ^ int(low)


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Put back, when the block ends, every random state as it was before: what is seeded and drawn inside has not been.

    Thread: one at a time, and nothing else may train meanwhile: the states are the process's.
    """
    python, host = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state()
    had_cuda = _cuda_is_in_use()
    gpus = torch.cuda.get_rng_state_all() if had_cuda else []
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(host)
        if had_cuda:
            torch.cuda.set_rng_state_all(gpus)
        elif _cuda_is_in_use():
            torch.cuda.seed_all()  # begun inside: nobody has seen its state, and it must not stay the trial's
        if mps is not None:
            torch.mps.set_rng_state(mps)


def _forget_in_child() -> None:
    """Let a forked child (a data loader's worker) have a lock of its own: another thread of the parent may have held it."""
    _threads.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

_HOST = torch.device("cpu")


def _has_states(device: torch.device) -> bool:
    return device.type in ("cuda", "mps")


def _device_state(device: torch.device) -> torch.Tensor | None:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def _set_device_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state.cpu(), device)
    else:
        torch.mps.set_rng_state(state.cpu())


def _as_tuple(value: Any) -> Any:  # Any: what `random.getstate` gives, perhaps through JSON
    return tuple(_as_tuple(inner) for inner in value) if isinstance(value, (list, tuple)) else value


def _cuda_is_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
