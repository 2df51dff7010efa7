"""Running scans: requests for the same directory share a scan, its progress is counted, and it is canceled when no request waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from detjupyter.protocol.files import ScanningRecord

#: A request is always answered within this time: a proxy between browser and server may close a silent connection.
ANSWER_WITHIN_S = 20.0
#: A scan is stopped this long after its last waiting request; a reloaded page sends a request sooner.
GRACE_S = 2.0
#: A scan that takes longer reports the number of paths found.
QUIET_S = 1.0
NOTIFY_EVERY_S = 0.25

T = TypeVar("T")
_Key = tuple[Path, str, bool]
Progress = Callable[[int], None]
#: Runs in a worker thread, with the server's root, the browser's path, whether any size is allowed, and a callback for progress.
Reader = Callable[[Path, str, bool, Progress], T]


class _StoppedError(Exception):
    """Raised in a scan for which no request waits any more."""


class _Scan(Generic[T]):
    """One scan: its future result, its progress, and the waiting requests."""

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
        """End the scan at its next report of progress."""
        self._stop.set()
        self.result.cancel()  # for a scan that has not begun


class Scans(Generic[T]):
    """Scans of one kind. Two requests for the same directory share a scan, so that reloading a page does not start more scans.

    Thread: only the event loop's; ``read`` runs in a worker thread.
    """

    def __init__(self, read: Reader[T], *, answer_within_s: float = ANSWER_WITHIN_S, grace_s: float = GRACE_S) -> None:
        self._read = read
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="detjupyter-scan")
        self._under_way: dict[_Key, _Scan[T]] = {}
        self._answer_within_s = answer_within_s
        self._grace_s = grace_s

    @property
    def is_busy(self) -> bool:
        """Whether a scan is running that a request may still want."""
        return any(not scan.result.done() for scan in self._under_way.values())

    async def scan(
        self, root: Path, path: str, *, any_size: bool = False, notify: Callable[[str, int], None] | None = None
    ) -> T | ScanningRecord:
        """Return the reader's result for ``path`` under ``root``, or its progress if that takes too long.

        Another call for the same path waits for the same scan.
        To stop waiting, cancel this call.

        Args:
            root: The server's root.
            path: The browser's path.
            any_size: Whether to accept a directory with very many paths.
            notify: Called with ``path`` and the number of paths so far, a few times a second, after the scan has taken a second.

        Raises:
            DefinitionError: The reader raised it.
        """
        key = (root, path, any_size)
        scan = self._under_way.get(key) or self._start(key)
        began = asyncio.get_running_loop().time()
        scan.waiting += 1
        try:
            while not scan.result.done():
                await asyncio.wait({scan.result}, timeout=min(NOTIFY_EVERY_S, self._answer_within_s))
                waited_s = asyncio.get_running_loop().time() - began
                if not scan.result.done() and waited_s >= self._answer_within_s:
                    scan.was_put_off = True
                    return ScanningRecord(path, scan.found)
                if not scan.result.done() and notify is not None and waited_s >= QUIET_S:
                    notify(path, scan.found)
        finally:
            scan.waiting -= 1
            if scan.waiting == 0 and not scan.result.done():
                asyncio.get_running_loop().call_later(self._grace_s, self._leave, key, scan)
        self._forget(key, scan)
        return scan.result.result()

    def close(self) -> None:
        """Stop every scan and start no more scans; safe to call twice."""
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
            scan.result.exception()  # without a waiting request it is never read, and asyncio would warn
        if scan.was_put_off and scan.waiting == 0:
            # a request that timed out is repeated
            asyncio.get_running_loop().call_later(self._grace_s, self._forget, key, scan)
        else:
            self._forget(key, scan)

    def _leave(self, key: _Key, scan: _Scan[T]) -> None:
        if scan.waiting == 0 and not scan.result.done():
            self._forget(key, scan)  # at once, so that the next request starts a new scan
            scan.stop()

    def _forget(self, key: _Key, scan: _Scan[T]) -> None:
        if self._under_way.get(key) is scan:
            del self._under_way[key]
