"""How tests wait: for what happens, with a limit that only a hang can reach.

A test never asserts that something is fast, and it does not sleep until something has surely happened: a machine with one busy core may
stop any thread for seconds. What has to happen while a cell is busy happens while the test keeps it busy (:class:`Busy`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 60.0
"""Well below what pytest gives a test, so that it is the test which says what did not happen."""


def wait_until(condition: Callable[[], object], what: str = "what was waited for", limit_s: float = LIMIT_S) -> None:
    """Return as soon as ``condition`` holds; the lock is free between two looks.

    Raises:
        AssertionError: It did not within ``limit_s`` seconds; ``what`` names it.
    """
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.005)


async def until(condition: Callable[[], object], what: str = "what was waited for", limit_s: float = LIMIT_S) -> None:
    """Do the same in an event loop."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        await asyncio.sleep(0.01)


class Busy:
    """A cell of another process that is busy until the test ends it; as a context manager also when the test fails.

    Args:
        directory: A directory of the test, for the two files by which they talk.
    """

    def __init__(self, directory: Path) -> None:
        self._begun = directory / "cell-begun"
        self._may_end = directory / "cell-may-end"

    def __enter__(self) -> Busy:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def code(self, body: str = "time.sleep(0.02)") -> str:
        """Return the cell's code, which repeats ``body``; ``pass`` makes it compute."""
        for path in (self._begun, self._may_end):
            path.unlink(missing_ok=True)
        return (
            "import os, time\n"
            f"open({str(self._begun)!r}, 'w').close()\n"
            f"_give_up = time.monotonic() + {2 * LIMIT_S}\n"
            f"while not os.path.exists({str(self._may_end)!r}) and time.monotonic() < _give_up:\n    {body}"
        )

    @property
    def has_begun(self) -> bool:
        """Whether the cell runs."""
        return self._begun.exists()

    def end(self) -> None:
        """Let the cell end."""
        self._may_end.touch()
