"""The Jupyter kernel of this process, if the process is a kernel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Kernel:
    """The process that trains, as the history shows it.

    Attributes:
        id: The kernel's id; None outside of a kernel.
    """

    id: str | None = None


kernel = Kernel()
