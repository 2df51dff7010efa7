"""What outlives the kernel: runs, their curves, logs, events, and the records of their checkpoints.

``base`` is the contract, ``memory`` and ``sql`` keep it, ``series`` holds curves of bounded size for views. Importing this package is
cheap: SQLAlchemy, psutil and tsdownsample load when they are first needed.
"""

from __future__ import annotations

from pathlib import Path

from detjupyter.store.base import Store

__all__ = ["Store", "open_store"]


def open_store(path: str | Path | None = None) -> Store:
    """Return the history kept in the SQLite file ``path``, made if it is not there.

    By default that is ``runs.sqlite`` in the user's data directory, which ``DETJUPYTER_HOME`` overrides.

    Stores that one process opens on the same file share their connections; each must be closed.

    Raises:
        StoreError: the file or its directory cannot be made, read or written, or was written by a newer detjupyter.

    Thread: any.
    """
    from detjupyter.store.location import home
    from detjupyter.store.sql import SqlStore

    return SqlStore(home() / "runs.sqlite" if path is None else Path(path))
