"""The identity of the file at a path: whether a history was deleted, moved or replaced, and which files it left at the path.

SQLite keeps two companions next to an open file, ``-wal`` (the write-ahead log) and ``-shm``. A file that is moved without them loses the
data that is only in the log, and a new file at the old path must not be opened with the log of the old one.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from detjupyter.errors import StoreError
from detjupyter.store.location import create_directory

Identity = tuple[int, int]
"""The device and the inode number of a file."""
UNKNOWN: Identity = (0, 0)
"""The path cannot be checked now, so nothing is known about the file."""


def identify(path: Path) -> Identity | None:
    """Return the identity of the file at ``path``; None if there is no file, ``UNKNOWN`` if the path cannot be checked."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return UNKNOWN
    return found.st_dev, found.st_ino


def companions(path: Path) -> tuple[Path, Path]:
    """Return the paths of SQLite's companions of the file ``path``."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def create(path: Path) -> Identity:
    """Create the file and its directory if they are missing, readable only by the user; return the identity of the file.

    Companions without a file were left when only the file was moved; they are removed.

    Raises:
        StoreError: The file or its directory cannot be created.
    """
    try:
        create_directory(path.parent)
        left = {companion: identify(companion) for companion in companions(path)}  # before the file: another process may create it now
        if not path.exists():
            for companion, identity in left.items():
                if identity is not None and identity == identify(companion):
                    with suppress(OSError):
                        companion.unlink()
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(
            f"The history cannot be created: {error.strerror or error}.",
            path=str(path),
            hint="Make the directory writable, or set DETJUPYTER_HOME to one that is.",
        ) from error
    return identify(path) or UNKNOWN
