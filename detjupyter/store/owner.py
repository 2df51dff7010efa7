"""Is the process that writes a live run still there?

A pid alone says too little, because pids are used again: a process is known by host, pid and the time it was started.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

# The start time is worked out from the system's clock, which may be corrected between two readings.
_CLOCK_TOLERANCE_S = 5.0
# Another machine's processes cannot be looked up, only its writes can be seen.
REMOTE_SILENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that writes a run; ``started_at`` is None where that could not be found out."""

    host: str
    pid: int
    started_at: float | None

    @classmethod
    def here(cls) -> Owner:
        """Return this process."""
        return cls.named(socket.gethostname(), os.getpid())

    @classmethod
    def named(cls, host: str, pid: int) -> Owner:
        """Return the process ``pid`` of ``host`` as it is now; ``started_at`` is looked up on this host only."""
        return cls(host, pid, _start_time(pid) if host == socket.gethostname() else None)

    def is_gone(self, last_seen: float, now: float) -> bool:
        """Return whether the process has certainly ended, or, on another host, has not written for five minutes.

        Args:
            last_seen: When it last wrote, in seconds since the epoch.
            now: The present, likewise.
        """
        if self.host != socket.gethostname():
            return now - last_seen > REMOTE_SILENCE_S
        started_at = _start_time(self.pid)
        if started_at is None:
            return True
        return self.started_at is not None and abs(started_at - self.started_at) > _CLOCK_TOLERANCE_S


def _start_time(pid: int) -> float | None:
    """Return when the process ``pid`` of this host was started; None if there is none, or only its remains."""
    import psutil

    try:
        process = psutil.Process(pid)
        # A killed process stays in the table until its parent asks for its exit code; kernel managers may take their time.
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return None
