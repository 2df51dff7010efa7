"""Where a person's history lives."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "DETJUPYTER_HOME"


def home() -> Path:
    """Return the absolute directory of the history and its checkpoints: ``DETJUPYTER_HOME``, else the platform's place for user data.

    It is not made here.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_data_path("detjupyter", appauthor=False)
