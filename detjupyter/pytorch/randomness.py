"""The random states that a trial draws from: those of Python, of numpy, and of torch on the host and on the trial's device.

These states are global to the process, so every draw changes what all other code draws next. A :class:`RandomStream` is a separate set of
states that temporarily replaces the global ones. What a trial draws then depends only on the trial, not on the cells that run between its
batches.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch

from detjupyter.pytorch.process_generators import (
    HostGenerators,
    HostState,
    numpy_state,
    numpy_tuple,
    python_state,
    python_tuple,
    seeded_state,
)


class RandomStates(NamedTuple):
    """The random states of a process at one moment.

    Attributes:
        of_host: Those of Python and numpy.
        of_torch: Torch's on the host.
        on_device: Torch's on the device; None if the device is the host.
    """

    of_host: HostState
    of_torch: torch.Tensor
    on_device: torch.Tensor | None = None

    @classmethod
    def seeded(cls, seed: int, device: torch.device) -> RandomStates:
        """Return the states after ``random.seed``, ``numpy.random.seed`` and ``torch.manual_seed``, without changing the process's."""
        on_device = torch.Generator(device).manual_seed(seed).get_state() if _has_states(device) else None
        return cls(seeded_state(seed), torch.Generator().manual_seed(seed).get_state(), on_device)

    @classmethod
    def now(cls, device: torch.device) -> RandomStates:
        """Return the present states of the process."""
        on_device = _device_state(device) if _has_states(device) else None
        return cls(_HOST_GENERATORS.state(), _TORCH.get_state(), on_device)

    def install(self, device: torch.device) -> RandomStates:
        """Make these the states of the process, and return the previous ones."""
        before = _HOST_GENERATORS.exchange(self.of_host), _TORCH.get_state()
        _TORCH.set_state(self.of_torch)
        if device == _HOST:  # fast path: this runs twice a batch
            return RandomStates(*before)
        on_device = _device_state(device) if _has_states(device) else None
        if on_device is not None and self.on_device is not None:
            _set_device_state(device, self.on_device)
        return RandomStates(*before, on_device)

    def to_checkpoint(self) -> dict[str, Any]:
        """Return the states in the layout of Determined's ``rng_state``, which contains only tensors and numbers."""
        state: dict[str, Any] = {
            "cpu_rng_state": self.of_torch,
            "np_rng_state": numpy_tuple(self.of_host),
            "random_rng_state": python_tuple(self.of_host),
        }
        if self.on_device is not None:
            state["gpu_rng_state"] = self.on_device
        return state

    @classmethod
    def from_checkpoint(cls, state: Mapping[str, Any]) -> RandomStates:
        """Read what :meth:`to_checkpoint` returned. Of a list with the states of several GPUs, the first one is used."""
        on_device = state.get("gpu_rng_state")
        if isinstance(on_device, (list, tuple)):
            on_device = on_device[0] if on_device else None
        of_host = (*python_state(state["random_rng_state"]), *numpy_state(state["np_rng_state"]))
        return cls(of_host, state["cpu_rng_state"].cpu(), on_device)

    def require_sound(self) -> None:
        """Raise an exception, of any class, if the host's generators do not accept these states. No generator of the process is touched."""
        random.Random().setstate(python_tuple(self.of_host))
        name, words, position, has_kept, kept = numpy_tuple(self.of_host)
        np.random.RandomState().set_state((name, np.array(words, dtype=np.uint32), position, has_kept, kept))
        torch.Generator().set_state(self.of_torch)
        if self.on_device is not None and not isinstance(self.on_device, torch.Tensor):
            raise TypeError("gpu_rng_state is not a tensor")


class _ActiveThreads:
    """The threads that have a stream active, and the process's own states until none has.

    If two trials train concurrently, the first one to begin saves the process's own states, and the last one to end restores them. The
    caller holds ``lock`` while it installs states and calls :meth:`enter` or :meth:`leave`.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._threads: dict[int, RandomStream] = {}  # each with its outermost stream
        self._own: RandomStates | None = None

    def has_entered(self) -> bool:
        """Return whether this thread has a stream active. Needs no lock."""
        return threading.get_ident() in self._threads  # an entry changes only in its own thread, except in abandon()

    def enter(self, stream: RandomStream, now: RandomStates) -> bool:
        """Record that this thread enters its outermost block, that of ``stream``; return whether ``now`` are the process's own states."""
        is_first = not self._threads
        if is_first:
            self._own = now
        self._threads[threading.get_ident()] = stream
        return is_first

    def leave(self) -> RandomStates | None:
        """Record that this thread leaves its outermost block; return the process's own states if no thread has a stream active now."""
        self.forget(threading.get_ident())
        return self.own

    def forget(self, thread: int) -> RandomStream | None:
        """Remove a thread and return its outermost stream, None if there is none: a forked child can leave a block of its parent's."""
        return self._threads.pop(thread, None)

    @property
    def own(self) -> RandomStates | None:
        """The process's own states if no thread has a stream active, else None."""
        return None if self._threads else self._own


_threads = _ActiveThreads()


class RandomStream:
    """A set of random states that replaces the process's own inside a ``with`` block of :meth:`active`.

    The states have no lock: what other threads draw during the block is drawn from this stream.

    Thread: one at a time.
    """

    def __init__(self, states: RandomStates, device: torch.device) -> None:
        self.states = states
        self._device = device
        self._depth = 0
        self._outside: RandomStates | None = None  # while active
        self._is_nested = False  # in another stream of this thread
        self._is_first = False  # whether the states outside are the process's own

    @classmethod
    def of(cls, device: torch.device, seed: int, *key: int) -> RandomStream:
        """Return the stream that belongs to ``seed`` and ``key``, for example a purpose and an epoch; different keys are independent."""
        return cls(RandomStates.seeded(mixed_seed(seed, *key), device), device)

    def active(self) -> RandomStream:
        """Draw from this stream inside the block, which can be nested. The process's own states are restored at its end."""
        return self

    def __enter__(self) -> None:
        if self._depth == 0:
            self._is_nested = _threads.has_entered()
            if self._is_nested:
                self._outside = self.states.install(self._device)
            else:
                with _threads.lock:
                    self._outside = self.states.install(self._device)
                    self._is_first = _threads.enter(self, self._outside)
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth or self._outside is None:
            return
        outside, self._outside = self._outside, None
        if self._is_nested:
            self.states = outside.install(self._device)
            return
        with _threads.lock:
            own = _threads.leave()
            if own is not None:  # no other stream is active
                # The states that this stream found may be those of another trial that has ended since. `own` may lack this device.
                outside = own._replace(on_device=outside.on_device)
            restores = own is not None or not self._is_first  # else the stream that ends last restores the process's own states
            self.states = outside.install(self._device) if restores else RandomStates.now(self._device)

    def abandon(self, own: RandomStates | None) -> None:
        """End the outermost block from another thread, because its own thread may never leave it, and install ``own``."""
        outside, self._outside = self._outside, None
        if outside is not None and own is not None:
            own._replace(on_device=outside.on_device).install(self._device)

    def capture(self) -> RandomStates:
        """Return the present states of this stream, inside or outside of its block."""
        return RandomStates.now(self._device) if self._depth else self.states

    def replace(self, states: RandomStates) -> None:
        """Continue from ``states``. If they lack the device's state, because they were captured elsewhere, the present one is kept."""
        if self._depth:
            states.install(self._device)
            return
        on_device = self.states.on_device if states.on_device is None or self.states.on_device is None else states.on_device
        self.states = states._replace(on_device=on_device)


def abandon(thread: int) -> None:
    """Restore the process's own states although a killed engine's thread has a stream active; the end of its block then changes nothing.

    Thread: any.
    """
    with _threads.lock:
        stream = _threads.forget(thread)
        if stream is not None:
            stream.abandon(_threads.own)


def mixed_seed(seed: int, *key: int) -> int:
    """Return a seed of 63 bits for ``seed`` and ``key``. Similar keys give unrelated seeds.

    ``seed + key`` would not do: batch 1 of seed 0 would draw the same as batch 0 of seed 1. Source: numpy's ``SeedSequence``.
    """
    low, high = np.random.SeedSequence((seed, *key)).generate_state(2)
    return int(high) << 31 ^ int(low)


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Restore every random state of the process at the end of the block, as if nothing had been seeded or drawn inside.

    Thread: one at a time, and no trial must train concurrently: the states are global to the process.
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
            torch.cuda.seed_all()  # the block initialized CUDA: there is no earlier state, and that of the block must not remain
        if mps is not None:
            torch.mps.set_rng_state(mps)


@contextmanager
def fresh_random_states() -> Iterator[None]:
    """Draw from new random states in the block, as in a new process; those of Python, numpy and torch are restored at its end.

    Trials can train concurrently: their draws are separate, as from those of another trial.
    """
    had_cuda = _cuda_is_in_use()
    device = torch.device("cuda" if had_cuda else "mps" if torch.backends.mps.is_available() else "cpu")
    with RandomStream(RandomStates.seeded(secrets.randbits(32), device), device).active():
        try:
            yield
        finally:
            if not had_cuda and _cuda_is_in_use():
                torch.cuda.seed_all()  # the block initialized CUDA: there is no earlier state


def seed_again() -> None:
    """Seed torch's generators from the system, on the host and on every device in use."""
    torch.seed()


def _forget_in_child() -> None:
    """Give a forked child, such as a data loader's worker, a new lock: if another thread held the old one, it stays locked forever."""
    _threads.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)

_HOST = torch.device("cpu")
_HOST_GENERATORS = HostGenerators()
_TORCH = torch.default_generator


def _has_states(device: torch.device) -> bool:
    return device.type in ("cuda", "mps")


def _device_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.mps.get_rng_state()


def _set_device_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state.cpu(), device)
    else:
        torch.mps.set_rng_state(state.cpu())


def _cuda_is_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
