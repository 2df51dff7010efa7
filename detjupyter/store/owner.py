"""Check whether the process that writes a live run still exists.

A pid alone does not identify a process, because pids are reused: a process is identified by host, pid and start time.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

# The start time is computed from the system's clock, which may be adjusted between two readings.
_CLOCK_TOLERANCE_S = 5.0
# Processes of another machine cannot be checked; only their writes are visible.
REMOTE_SILENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that writes a run; ``started_at`` is None if it is unknown."""

    host: str
    pid: int
    started_at: float | None

    @classmethod
    def here(cls) -> Owner:
        """Return this process."""
        return cls.named(socket.gethostname(), os.getpid())

    @classmethod
    def named(cls, host: str, pid: int) -> Owner:
        """Return the current process ``pid`` of ``host``; ``started_at`` is only known for this host."""
        return cls(host, pid, _start_time(pid) if host == socket.gethostname() else None)

    def is_gone(self, last_seen: float, now: float) -> bool:
        """Return whether the process has certainly ended, or, on another host, has not written for five minutes.

        Args:
            last_seen: The time of its last write, in seconds since the Unix epoch.
            now: The current time, in seconds since the Unix epoch.
        """
        if self.host != socket.gethostname():
            return now - last_seen > REMOTE_SILENCE_S
        started_at = _start_time(self.pid)
        if started_at is None:
            return True
        return self.started_at is not None and abs(started_at - self.started_at) > _CLOCK_TOLERANCE_S


def _start_time(pid: int) -> float | None:
    """Return the start time of the process ``pid`` of this host; None if it does not exist or is a zombie."""
    import psutil

    try:
        process = psutil.Process(pid)
        # A killed process remains in the process table until its parent reads the exit code, which kernel managers may do late.
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return None
