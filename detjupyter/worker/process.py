"""Starts a worker process, and makes sure that it and its children end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

_LAST_LINES = 20
_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from detjupyter.worker.host import main; main(int(sys.argv[2]))"


class WorkerProcess:
    """A worker that leads a process group of its own: an interrupt of the kernel does not reach it, and its children end with it.

    Args:
        ended: Called once with how it ended, in a thread of its own, after its children were killed.

    Attributes:
        connected: The kernel's end of the connection.
        pid: The id of the process.
    """

    def __init__(self, ended: Callable[[str], None], *, name: str) -> None:
        self.connected, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(_search_path()), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._ended = ended
        self._lock, self._has_ended = threading.Lock(), False
        output = self._process.stdout
        assert output is not None
        self._reader = threading.Thread(target=self._read, args=(output,), name=f"{name} output", daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name=f"{name} end", daemon=True).start()

    def kill(self) -> None:
        """Kill the process and its children. Before the end of the process was seen: afterwards its id can be another one's."""
        with self._lock:
            if not self._has_ended:
                self._kill_group()

    def last_words(self) -> list[str]:
        """Return the last lines that it wrote outside of Python's streams: those of a library, or of the interpreter when it crashed."""
        return list(self._lines)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                self._lines.append(line.decode("utf-8", "replace").rstrip())

    def _wait(self) -> None:
        # The group keeps the id from being used again as long as a child lives; without one there is nothing to kill.
        code = self._process.wait()
        with self._lock:
            self._has_ended = True
            self._kill_group()
        self._reader.join(1.0)
        self._ended(_ending(code))


def _search_path() -> list[str]:
    """Return where the worker imports detjupyter from. A file in the notebook's directory could hide one of Python's modules."""
    here, package = os.getcwd(), str(Path(__file__).parents[2])  # noqa: PTH109 -- as sys.path has it
    places = [str(place) for place in sys.path if place not in ("", here)]
    return places if package in places else [*places, package]


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was killed by {name}" + (", perhaps because the system ran out of memory" if name == "SIGKILL" else "")
