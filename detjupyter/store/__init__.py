"""The data that outlives the kernel: runs, their curves, logs, events, and the records of their checkpoints.

``base`` is the contract, ``memory`` and ``sql`` implement it, ``series`` provides curves of bounded size for views. Importing this package
is cheap: SQLAlchemy, psutil and tsdownsample are imported on first use.
"""

from __future__ import annotations

from pathlib import Path

from detjupyter.store.base import Store

__all__ = ["Store", "open_store"]


def open_store(path: str | Path | None = None) -> Store:
    """Open the history in the SQLite file ``path``, which is created if it does not exist.

    The default is ``runs.sqlite`` in the user's data directory, or in ``DETJUPYTER_HOME``.

    Stores that a process opens on the same file share their connections; each must be closed.

    Raises:
        StoreError: The file or its directory cannot be created, read or written, or was written by a newer detjupyter.

    Thread: any.
    """
    from detjupyter.store.location import home
    from detjupyter.store.sql import SqlStore

    return SqlStore(home() / "runs.sqlite" if path is None else Path(path))
