"""Write a file of the user atomically: no reader ever sees half of it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_file(target: Path, content: bytes) -> None:
    """Replace the content of a file in one step: a reader sees the old content or the new one. Its mode is kept, and so is a symlink.

    Raises:
        OSError: The directory or the file cannot be written; the file is unchanged.
    """
    target = Path(os.path.realpath(target))  # a rename onto the link would replace the link itself
    mode = target.stat().st_mode & 0o7777 if target.exists() else None
    if mode is not None and not os.access(target, os.W_OK):  # a rename asks only for the permission of the directory
        raise PermissionError(13, "the file is write-protected")
    draft = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before the rename: after a power cut the new name must not refer to an empty file
        if mode is not None:
            draft.chmod(mode)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
