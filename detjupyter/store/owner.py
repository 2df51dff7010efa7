"""Check whether the process that writes a live run still exists.

A pid alone does not identify a process, because pids are reused: a process is identified by host, pid and start time. Nor does a host
name identify the processes that can be seen: containers have their own pids, and can have the same host name and share a history.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The start time is computed from the system's clock, which may be adjusted between two readings.
_CLOCK_TOLERANCE_S = 5.0
# Processes of another machine or container cannot be checked; only their writes are visible.
REMOTE_SILENCE_S = 300.0
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # of Linux: that of all processes outside of containers


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that writes a run.

    Attributes:
        host: The name of its machine or container.
        pid: Its pid there.
        started_at: Its start time, None if it is unknown.
        space: What distinguishes the pids of machines and containers with the same name, None if it is unknown.
    """

    host: str
    pid: int
    started_at: float | None
    space: str | None = None

    @classmethod
    def here(cls) -> Owner:
        """Return this process."""
        return cls.named(socket.gethostname(), os.getpid())

    @classmethod
    def named(cls, host: str, pid: int) -> Owner:
        """Return the current process ``pid`` of ``host``; ``started_at`` and ``space`` are only known for this host."""
        is_here = host == socket.gethostname()
        return cls(host, pid, _start_time(pid) if is_here else None, pid_space() if is_here else None)

    @property
    def can_be_checked(self) -> bool:
        """Whether this process would see the owner if it existed."""
        here = pid_space()
        return self.host == socket.gethostname() and (None in (self.space, here) or self.space == here)

    def is_gone(self, last_seen: float, now: float) -> bool:
        """Return whether the process has certainly ended, or, on another host or in another container, has not written for five minutes.

        Args:
            last_seen: The time of its last write, in seconds since the Unix epoch.
            now: The current time, in seconds since the Unix epoch.
        """
        if not self.can_be_checked:
            return now - last_seen > REMOTE_SILENCE_S
        started_at = _start_time(self.pid)
        if started_at is None:
            return True
        return self.started_at is not None and abs(started_at - self.started_at) > _CLOCK_TOLERANCE_S


@cache
def pid_space() -> str | None:
    """Return what identifies the pids that this process sees; None where only the host name is known.

    In a container it is another one after each start. Outside of containers it survives a restart of the machine.
    """
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
        if namespace == _FIRST_PID_NAMESPACE:
            return f"machine {Path('/etc/machine-id').read_text(encoding='ascii').strip()}"
        return f"boot {Path('/proc/sys/kernel/random/boot_id').read_text(encoding='ascii').strip()}, namespace {namespace}"
    except (OSError, ValueError):
        return None


def _start_time(pid: int) -> float | None:
    """Return the start time of the process ``pid`` of this host; None if it does not exist or is a zombie."""
    import psutil

    try:
        process = psutil.Process(pid)
        # A killed process remains in the process table until its parent reads the exit code, which kernel managers may do late.
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return None
