"""Ends the OpenMP workers of a thread, which would otherwise slow down training in other threads.

Torch computes on the CPU with GNU's OpenMP, which starts separate workers for every thread that calls it. As long as the process has no
more workers than cores, an idle worker polls for the next operation and begins it at once. Otherwise idle workers sleep, and every
operation has to wake them. A single cell that uses torch would therefore slow down a training in another thread permanently: on two cores,
a batch of a tiny network takes 1.7 ms instead of 0.5. A thread's next operation starts ended workers again, in about 0.1 ms.

Source: libgomp's ``gomp_throttled_spin_count_var``; OpenMP 5.0, section 3.2.44, ``omp_pause_resource_all``.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SOFT = 1  # omp_pause_soft: keeps the settings


def release_workers() -> None:
    """End the workers of the calling thread. Does nothing if torch computes with another library."""
    for pause in _pauses():
        pause(_SOFT)


@functools.cache
def _pauses() -> tuple[Callable[[int], int], ...]:
    """Return ``omp_pause_resource_all`` of every libgomp in the process. Other OpenMP libraries end the workers of all threads."""
    return tuple(pause for path in _loaded_libraries() if (pause := _pause_of(path)) is not None)


def _loaded_libraries() -> list[str]:
    """Return the paths of the loaded libraries called ``libgomp``; none on systems without ``/proc/self/maps``."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    paths = (line.split(maxsplit=5)[-1] for line in maps.splitlines() if "libgomp" in line)
    return sorted({path for path in paths if Path(path).name.startswith("libgomp")})


def _pause_of(path: str) -> Callable[[int], int] | None:
    with suppress(OSError, AttributeError):  # OSError: unloaded or deleted since; AttributeError: older than GCC 9
        pause = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY).omp_pause_resource_all
        pause.argtypes, pause.restype = [ctypes.c_int], ctypes.c_int
        function: Callable[[int], int] = pause
        return function
    return None
