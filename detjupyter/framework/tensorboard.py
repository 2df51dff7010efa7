"""The directories for TensorBoard files."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from detjupyter.store.location import create_directory, home


def new_directory() -> Path:
    """Create a new directory for the TensorBoard files of one trial, next to the history, and return it."""
    # The random part: several trials can begin in one second.
    directory = home() / "tensorboard" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    create_directory(directory, exist_ok=False)
    return directory
