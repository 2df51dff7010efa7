"""The random states that a trial draws from: Python's, numpy's, torch's on the host and on every device in use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


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


def _cuda_is_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
