"""Convert paths of the browser to paths on disk, and back.

The browser's paths are relative to the directory that Jupyter shows as its root, POSIX, ``""`` for the root itself. Symbolic links are
resolved before any check: files outside the root cannot be accessed with any path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.errors import DefinitionError, DefinitionNotFoundError


def root_of(settings: Mapping[str, Any]) -> Path:
    """Return the directory that the browser's paths are relative to, from the settings of the web application."""
    # a contents manager that stores its files in a database or a bucket has no root_dir
    root = getattr(settings.get("contents_manager"), "root_dir", None) or settings.get("server_root_dir") or "."
    return Path(os.path.expanduser(root)).resolve()  # noqa: PTH111 (Path.expanduser raises where there is no such user)


def inside(root: Path, path: str) -> Path:
    """Return the browser's ``path`` on disk, with links resolved; ``root`` is already resolved.

    Raises:
        DefinitionError: ``path`` is not a relative path, or contains ``..``.
        DefinitionNotFoundError: The path does not exist, or is outside ``root`` (which looks the same to the browser).
    """
    if "\0" in path or path.startswith(("/", "\\")) or Path(path).is_absolute() or Path(path).drive:
        raise DefinitionError("The path of a model definition must be relative to the server's root.", path=path)
    if ".." in path.replace("\\", "/").split("/"):
        raise DefinitionError("The path of a model definition must not contain `..`.", path=path)
    missing = DefinitionNotFoundError(f"There is no directory and no .py file at {path!r} under the server's root.")
    try:
        place = (root / path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # missing or unreadable, a loop of links, unsupported characters
        raise missing from None
    if not place.is_relative_to(root):
        raise missing
    return place


def outward(root: Path, place: str) -> str | None:
    """Return the browser's path of ``place`` (an absolute path on disk), or None if it is outside ``root`` or does not exist."""
    try:
        relative = Path(place).resolve(strict=True).relative_to(root)
    except (OSError, RuntimeError, ValueError):
        return None
    return "" if relative == Path() else relative.as_posix()
