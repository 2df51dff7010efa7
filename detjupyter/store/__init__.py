"""The data that outlives the kernel: runs, their curves, logs, events, and the records of their checkpoints.

``base`` is the contract, ``memory`` and ``sql`` implement it, ``series`` provides curves of bounded size for views. Importing this package
is cheap: SQLAlchemy, psutil and tsdownsample are imported on first use.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from detjupyter.errors import StoreError
from detjupyter.store.base import Store

__all__ = ["Store", "open_store"]


def open_store(path: str | Path | None = None) -> Store:
    """Open the history in the SQLite file ``path``, which is created if it does not exist.

    The default is ``runs.sqlite`` in the user's data directory, or in ``DETJUPYTER_HOME``.

    Runs that a process has deleted, and that can no longer be brought back, are removed with their files.

    Stores that a process opens on the same file share their connections; each must be closed.

    Raises:
        StoreError: The file or its directory cannot be created, read or written, or was written by a newer detjupyter.

    Thread: any.
    """
    from detjupyter.store.deletion import purge
    from detjupyter.store.location import home
    from detjupyter.store.sql import SqlStore

    store = SqlStore(home() / "runs.sqlite" if path is None else Path(path))
    with suppress(StoreError):  # locked or read-only: a later opening deletes them
        purge(store)
    return store
