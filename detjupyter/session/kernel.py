"""The Jupyter kernel of this process, if the process is a kernel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Kernel:
    """The process that trains, as the history shows it.

    Attributes:
        id: The kernel's id; None outside of a kernel.
    """

    id: str | None = None

    def notebook(self) -> str | None:
        """Return the path of the kernel's notebook; None if it is unknown, or if the notebook was renamed since the kernel started."""
        path = None if self.id is None else notebook_at_start()
        return str(path) if path is not None and path.is_file() else None


kernel = Kernel()


def notebook_at_start() -> Path | None:
    """Return the absolute path that the notebook of this process had when its kernel started; None if there is none, or it is unknown.

    Jupyter's server puts it into ``JPY_SESSION_NAME``.
    """
    name = os.environ.get("JPY_SESSION_NAME", "")
    return Path(name) if name and Path(name).is_absolute() else None
