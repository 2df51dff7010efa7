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
        """Return the absolute path of the kernel's notebook; None if the server has not said it, or if it was renamed since.

        A Jupyter server puts the path at the start of the kernel into ``JPY_SESSION_NAME``.
        """
        name = "" if self.id is None else os.environ.get("JPY_SESSION_NAME", "")
        return name if Path(name).is_absolute() and Path(name).is_file() else None


kernel = Kernel()
