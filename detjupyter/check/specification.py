"""What the kernel tells the clean process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Specification:
    """All that the clean process knows of the kernel.

    Attributes:
        archive: The archive.
        directory: Where to unpack it; not there yet.
        file: The name of the one file that is the definition, empty if it is the directory.
        entrypoint: What to load.
        config: A file with the pickled configuration.
        seed: What to build the trial with.
        device: Where; None for the best there is.
        batches: How many to train.
        state: An empty directory for checkpoints.
        messages: The file to append messages to.
        origin: The directory that was packed: what is opened there will not be there elsewhere.
    """

    archive: str
    directory: str
    file: str
    entrypoint: str
    config: str
    seed: int
    device: str | None
    batches: int
    state: str
    messages: str
    origin: str

    def write(self, path: Path) -> None:
        """Write it where the process finds it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Specification:
        """Read what :meth:`write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
