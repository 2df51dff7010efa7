"""Scans under way: shared by those who ask for the same, counted while they last, stopped when nobody waits any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from detjupyter.protocol.files import ScanningRecord

#: A request is answered after so long in any case: what stands between browser and server may cut a silent connection.
PATIENCE_S = 20.0
#: So long after the last request that waited is the scan stopped; a page that is loaded again comes back sooner.
GRACE_S = 2.0
#: A scan that takes longer says how many paths it has met.
QUIET_S = 1.0
TELL_EVERY_S = 0.25

T = TypeVar("T")
_Key = tuple[Path, str, bool]
Progress = Callable[[int], None]
#: What is run in a worker thread: with the server's root, the browser's path, whether any size is meant, and whom to tell of progress.
Reader = Callable[[Path, str, bool, Progress], T]


class _StoppedError(Exception):
    """Raised into a scan for which nobody waits any more."""


class _Scan(Generic[T]):
    """One scan: its future result, how far it is, and who waits for it."""

    def __init__(self) -> None:
        self.result: asyncio.Future[T]
        self.found = 0
        self.waiting = 0
        self.was_put_off = False
        self._stop = threading.Event()

    def progress(self, found: int) -> None:
        """Count, in the worker thread, and end the scan if it was stopped."""
        self.found = found
        if self._stop.is_set():
            raise _StoppedError

    def stop(self) -> None:
        """End the scan at its next sign of life."""
        self._stop.set()
        self.result.cancel()  # one that has not begun


class Scans(Generic[T]):
    """Scans of one kind. Two requests for one directory share a scan, so that reloading a page does not pile them up.

    Thread: the event loop's only; ``read`` runs in a worker thread.
    """

    def __init__(self, read: Reader[T], *, patience_s: float = PATIENCE_S, grace_s: float = GRACE_S) -> None:
        self._read = read
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="detjupyter-scan")
        self._under_way: dict[_Key, _Scan[T]] = {}
        self._patience_s = patience_s
        self._grace_s = grace_s

    @property
    def is_busy(self) -> bool:
        """Whether a scan is under way that somebody may still want."""
        return any(not scan.result.done() for scan in self._under_way.values())

    async def scan(
        self, root: Path, path: str, *, any_size: bool = False, tell: Callable[[str, int], None] | None = None
    ) -> T | ScanningRecord:
        """Return what the reader says of ``path`` under ``root``, or how far it is if that takes too long; asking again waits on.

        Cancelling this call is how a caller says that it waits no more.

        Args:
            root: The server's root.
            path: The browser's path.
            any_size: Whether a directory with very many paths is meant.
            tell: Called with ``path`` and the number of paths so far, a few times a second, once the scan has taken a second.

        Raises:
            DefinitionError: the reader raised it.
        """
        key = (root, path, any_size)
        scan = self._under_way.get(key) or self._start(key)
        began = asyncio.get_running_loop().time()
        scan.waiting += 1
        try:
            while not scan.result.done():
                await asyncio.wait({scan.result}, timeout=min(TELL_EVERY_S, self._patience_s))
                waited_s = asyncio.get_running_loop().time() - began
                if not scan.result.done() and waited_s >= self._patience_s:
                    scan.was_put_off = True
                    return ScanningRecord(path, scan.found)
                if not scan.result.done() and tell is not None and waited_s >= QUIET_S:
                    tell(path, scan.found)
        finally:
            scan.waiting -= 1
            if scan.waiting == 0 and not scan.result.done():
                asyncio.get_running_loop().call_later(self._grace_s, self._leave, key, scan)
        self._forget(key, scan)
        return scan.result.result()

    def close(self) -> None:
        """Stop every scan and start no further one; safe to call twice."""
        for scan in self._under_way.values():
            scan.stop()
        self._under_way.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, key: _Key) -> _Scan[T]:
        scan: _Scan[T] = _Scan()
        scan.result = asyncio.get_running_loop().run_in_executor(self._threads, self._read, *key, scan.progress)
        scan.result.add_done_callback(lambda _: self._done(key, scan))
        self._under_way[key] = scan
        return scan

    def _done(self, key: _Key, scan: _Scan[T]) -> None:
        if not scan.result.cancelled():
            scan.result.exception()  # if nobody waits, nobody else looks at it, and asyncio would complain
        if scan.was_put_off and scan.waiting == 0:
            # whoever was put off comes back for it
            asyncio.get_running_loop().call_later(self._grace_s, self._forget, key, scan)
        else:
            self._forget(key, scan)

    def _leave(self, key: _Key, scan: _Scan[T]) -> None:
        if scan.waiting == 0 and not scan.result.done():
            self._forget(key, scan)  # at once: who asks now begins anew
            scan.stop()

    def _forget(self, key: _Key, scan: _Scan[T]) -> None:
        if self._under_way.get(key) is scan:
            del self._under_way[key]
