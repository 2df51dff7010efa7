"""The instructions of the kernel for the clean process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Specification:
    """Everything that the clean process knows about the kernel.

    Attributes:
        archive: The archive.
        directory: The directory to unpack it into; it does not exist yet.
        file: The name of the file of a single-file definition, empty for a directory.
        entrypoint: The entrypoint to load.
        config: A file with the pickled configuration.
        seed: The seed of the trial.
        device: The device of the trial; None for the best available device.
        batches: The number of batches to train.
        state: An empty directory for checkpoints.
        messages: The file to append messages to.
        origin: The directory that was packed: files opened there will be missing on another machine.
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
        """Write the specification to a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Specification:
        """Read a specification written by :meth:`write`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
