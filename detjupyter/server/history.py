"""The store for the server's event loop: opened on first use, read in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from detjupyter.store.base import Store

T = TypeVar("T")

THREADS = 4


class History:
    """The store of a server.

    Thread: ``read`` belongs to the event loop; its argument runs in one of a few worker threads.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="detjupyter-history")
        self._store: Store | None = None
        self._lock = threading.Lock()

    async def read(self, read: Callable[[Store], T]) -> T:
        """Return ``read(store)``, computed in a worker thread.

        Raises:
            StoreError: The store cannot be opened (the next call tries again), or ``read`` raised it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, read)

    def close(self) -> None:
        """Wait for running reads, then close the store; safe to call twice."""
        self._threads.shutdown(cancel_futures=True)
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _read(self, read: Callable[[Store], T]) -> T:
        with self._lock:
            if self._store is None:
                # imports SQLAlchemy, which a server without a panel never needs
                from detjupyter.store import open_store

                self._store = open_store()
            store = self._store
        return read(store)
