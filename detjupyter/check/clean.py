"""Start the clean process, follow its messages, and make sure that it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from detjupyter.definition.isolation.finding import VARIABLE
from detjupyter.engine.output.redraw import shown_lines

_POLL_S = 0.05
_OUTPUT_BYTES = 64 << 10
_OUTPUT_LINES = 20
# The workers of data loaders use sockets in the temporary directory, and the path of a socket has at most 104 bytes.
_SOCKET_DIRECTORY_CHARACTERS = 70


class CleanProcess:
    """A clean process, in an empty working directory, with its messages and its output in files.

    It leads its own process group: an interrupt of the kernel does not reach it, and its workers end with it.

    Args:
        specification: The file with its instructions.
        messages: The file that it appends messages to.
        scratch: A temporary directory for other files.
        origin: The directory that was packed; nothing is imported from it.
    """

    def __init__(self, specification: Path, messages: Path, scratch: Path, origin: Path) -> None:
        self._messages = messages
        self._position = 0
        self._output = scratch / "output.txt"
        empty = scratch / "empty"
        empty.mkdir()
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "detjupyter.check.process", str(specification)],
                cwd=empty,
                env=environment(os.environ, origin, scratch),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def follow(self, receive: Callable[[dict[str, Any]], None], timeout_s: float | None) -> str | None:
        """Pass every message to ``receive`` until the process ends; return None, or how it ended if it failed.

        The process has always ended when this method returns or raises.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while self._process.poll() is None:
                self._read(receive)
                if deadline is not None and time.monotonic() >= deadline:
                    return f"the process took longer than {timeout_s:g} s and was killed"
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_POLL_S)
            self._read(receive)
        finally:
            self.end()
        return _ending(self._process.returncode)

    def end(self) -> None:
        """Kill the process and its workers, and wait until it has ended."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # kills its workers even if the process itself has ended
        else:
            self._process.kill()
        self._process.wait()

    def printed(self) -> tuple[str, ...]:
        """Return the last lines of its output."""
        with self._output.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _OUTPUT_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
        lines = [line.rstrip() for line in shown_lines(text)]
        return tuple([line for line in lines if line][-_OUTPUT_LINES:])

    def _read(self, receive: Callable[[dict[str, Any]], None]) -> None:
        with suppress(FileNotFoundError), self._messages.open("rb") as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b"\n"):  # the line is still being written
                    return
                self._position += len(line)
                receive(json.loads(line))


def environment(found: Mapping[str, str], origin: Path, scratch: Path) -> dict[str, str]:
    """Return the kernel's environment without paths that lead to the kernel's modules or to the packed directory.

    Temporary files go to ``scratch``, so that they are deleted with it even if the process is killed.
    """
    kept = {name: value for name, value in found.items() if name != VARIABLE}
    kept["PYTHONUNBUFFERED"] = "1"  # otherwise a process that crashes loses its last output
    if len(str(scratch)) <= _SOCKET_DIRECTORY_CHARACTERS:
        kept["TMPDIR"] = str(scratch)
    places = [place for place in kept.pop("PYTHONPATH", "").split(os.pathsep) if place and not _is_inside(place, origin)]
    try:
        distribution("detjupyter")
    except PackageNotFoundError:  # a checkout that is only on the kernel's path
        places.append(str(Path(__file__).parents[2]))
    return {**kept, "PYTHONPATH": os.pathsep.join(places)} if places else kept


def _is_inside(place: str, origin: Path) -> bool:
    # A relative path would be resolved in the empty directory.
    return not Path(place).is_absolute() or Path(os.path.realpath(place)).is_relative_to(origin)


def _ending(code: int) -> str | None:
    if code == 0:
        return None
    if code > 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the process was killed by {name}" + (", perhaps because the system ran out of memory" if name == "SIGKILL" else "")
