"""The location of the user's history, and the creation of its directories and files, which no other user can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast

HOME_VARIABLE = "DETJUPYTER_HOME"


def home() -> Path:
    """Return the absolute directory of the history and its checkpoints: ``DETJUPYTER_HOME``, else the platform's directory for user data.

    This function does not create it.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs  # an interpreter without this package needs the environment variable

    return platformdirs.user_data_path("detjupyter", appauthor=False)


def create_directory(directory: Path, *, exist_ok: bool = True) -> None:
    """Create a directory of the history and those that are missing above it, with no rights for other users.

    Whatever is written first (the database, the code of a run, a checkpoint) creates the history's directory, so all of them call this.
    What exists keeps its rights.

    Raises:
        FileExistsError: it exists and is not a directory, or must not exist.
        OSError: it cannot be created.
    """
    above = directory.parent
    if not above.is_dir() and above != directory:
        create_directory(above)
    directory.mkdir(mode=0o700, exist_ok=exist_ok)


def create_file(path: Path) -> BinaryIO:
    """Create a file of the history, which must not exist yet, with no rights for other users; return it, open for writing.

    Raises:
        OSError: it exists, or cannot be created.
    """
    return cast("BinaryIO", open(path, "xb", opener=_open_privately))


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
