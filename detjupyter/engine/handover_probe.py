"""Detects that other Python code in the process slows the training.

A thread that computes in pure Python (a busy cell, a second session) takes the interpreter lock whenever the training releases it. At each
report, :class:`HandoverProbe` releases the lock once, for a checksum of about 0.1 ms, and measures how long the thread then waits for the
lock. The wait is wall time minus the thread's own CPU time. The thread does not sleep during the measurement, so load from other processes
is rarely mistaken for a wait. A slow data loader, a GPU or a numpy computation in a cell leaves the lock free, so there is no wait.

A wait matters only if the training waits often: ten waits of 0.1 ms hardly affect a batch of 100 ms. A reading is therefore the share of
the time since the last report that was lost.
"""

from __future__ import annotations

import sys
import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass

if sys.platform == "linux":
    import resource

READINGS = 10
"""The decision uses this many of the newest readings, which are about one second."""
SLOWED_AT = 7
"""With this many lossy readings or more, the training counts as slowed."""
FREE_AT = 3
"""With this many lossy readings or fewer, it no longer counts as slowed."""
LOSS = 0.2
"""A reading is lossy if at least this share of the time was lost."""

_SHORTEST_WAIT_S = 20e-6  # taking a free lock takes up to 5 µs, a lock in use at least 60 µs (Linux sleeps for at least 50)
_CHECKSUMMED_BYTES = 1 << 18  # zlib releases the lock for more than 5 kB


@dataclass(frozen=True, slots=True)
class HandoverReading:
    """One measurement of the thread that trains.

    Attributes:
        elapsed_s: Wall time since the previous reading, in seconds.
        cpu_s: CPU time of the thread in that interval, in seconds.
        pauses: How often the thread yielded its core voluntarily in that interval, to wait for a lock, a loader or a device; None if
            unknown.
        wait_s: How long the thread waited to get the lock back, in seconds.
        wait_pauses: How often it yielded its core voluntarily during that wait; None if unknown.
        interval_s: The interpreter's switch interval, in seconds.
    """

    elapsed_s: float
    cpu_s: float
    pauses: int | None
    wait_s: float
    wait_pauses: int | None
    interval_s: float

    @property
    def lost(self) -> float:
        """The share of the elapsed time spent waiting for the lock, 0 to 1; an upper bound if ``pauses`` is unknown."""
        # A thread that keeps the lock gives it back after the interval at the earliest, so a much shorter wait has another cause.
        if self.elapsed_s <= 0 or self.wait_s < max(_SHORTEST_WAIT_S, self.interval_s / 2):
            return 0.0
        if self.wait_pauses == 0:  # the thread did not wait; the scheduler gave its core to another process
            return 0.0
        idle_s = max(self.elapsed_s - self.cpu_s, 0.0)
        if self.pauses is None or self.wait_pauses is None:
            return idle_s / self.elapsed_s
        return min(self.pauses / max(self.wait_pauses, 1) * self.wait_s, idle_s) / self.elapsed_s


class SlowdownDetector:
    """Decides from a series of readings, so that a single reading changes nothing.

    Thread: :meth:`add` in one thread, :attr:`slowed` in any.
    """

    def __init__(self) -> None:
        self.slowed = False
        """Whether other Python code slows the training."""
        self._losses: deque[bool] = deque(maxlen=READINGS)

    def add(self, reading: HandoverReading) -> bool:
        """Add a reading, and return :attr:`slowed`."""
        self._losses.append(reading.lost >= LOSS)
        losses = sum(self._losses)
        self.slowed = losses > FREE_AT if self.slowed else losses >= SLOWED_AT
        return self.slowed


@dataclass(frozen=True, slots=True)
class _Moment:
    """The clocks of one thread."""

    thread: int
    wall_s: float
    cpu_s: float
    pauses: int | None

    @classmethod
    def now(cls) -> _Moment:
        return cls(threading.get_ident(), time.perf_counter(), time.thread_time(), _pauses_of_thread())


class HandoverProbe:
    """Measures once per report whether other Python code slows the training.

    One probe belongs to one session. A call takes about 0.1 ms if the lock is free.

    Args:
        checksummed_bytes: The size of the data for the checksum. The longer the checksum takes with the lock released, the more certain it
            is that a waiting thread takes the lock.

    Thread: :meth:`read` in the thread that trains; each training can have another thread.
    """

    def __init__(self, checksummed_bytes: int = _CHECKSUMMED_BYTES) -> None:
        self.reading: HandoverReading | None = None
        """The newest reading; None before the first."""
        self._checksummed = bytes(checksummed_bytes)
        self._detector = SlowdownDetector()
        self._last: _Moment | None = None

    @property
    def slowed(self) -> bool:
        """Whether other Python code slows the training, according to the readings so far."""
        return self._detector.slowed

    def read(self) -> bool:
        """Take a reading, and return :attr:`slowed`. The first call in a thread only starts the clocks."""
        if self._last is None or self._last.thread != threading.get_ident():
            self.reset()
        before, last = _Moment.now(), self._last
        zlib.crc32(self._checksummed)
        after = self._last = _Moment.now()
        if last is None:
            return False
        self.reading = HandoverReading(
            elapsed_s=before.wall_s - last.wall_s,
            cpu_s=before.cpu_s - last.cpu_s,
            pauses=_difference(before.pauses, last.pauses),
            wait_s=(after.wall_s - before.wall_s) - (after.cpu_s - before.cpu_s),
            wait_pauses=_difference(after.pauses, before.pauses),
            interval_s=sys.getswitchinterval(),
        )
        return self._detector.add(self.reading)

    def reset(self) -> None:
        """Drop all readings. To be called when a training begins or resumes, since the time before does not count."""
        self.reading = self._last = None
        self._detector = SlowdownDetector()


def _pauses_of_thread() -> int | None:
    """Return how often this thread has yielded its core voluntarily (``ru_nvcsw``), None on systems other than Linux."""
    if sys.platform == "linux":
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    return None


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier
