"""TensorBoard: a writer for what the user draws, and the metrics of a training beside it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import FloatArray
from detjupyter.store.location import home
from detjupyter.training.metrics import scalars

logger = logging.getLogger("detjupyter")


def make_writer(directory: Path) -> Any:
    """Return a ``SummaryWriter`` on ``directory``; where the package is missing one that drops what it is given, which is said once.

    Its ``writer`` is itself: so trials find it that were written for the `TorchWriter` of 2020.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning("The package tensorboard is not installed: what the trial writes there is dropped. `%pip install tensorboard`")
        return SilentWriter()
    writer: Any = SummaryWriter(log_dir=str(directory))
    writer.writer = writer
    return writer


class SilentWriter:
    """Takes whatever a ``SummaryWriter`` takes, and writes nothing."""

    @property
    def writer(self) -> SilentWriter:
        """Itself."""
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith(("add_", "flush", "close")):
            raise AttributeError(f"A SummaryWriter has no {name!r}.")
        return lambda *_, **__: None


def new_directory() -> Path:
    """Make a new directory for the files of one trial, beside the history, and return it."""
    directory = home() / "tensorboard" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    directory.mkdir(parents=True)
    return directory


class TorchWriter:
    """What ``determined.tensorboard.metric_writers.pytorch`` offered in 2020: ``writer`` is a ``SummaryWriter``.

    Args:
        directory: Where it writes; by default a new one beside the history.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = new_directory() if directory is None else directory
        self._writer: Any = None

    @property
    def writer(self) -> Any:
        """The ``SummaryWriter``, made when it is first used."""
        if self._writer is None:
            self._writer = make_writer(self._directory)
        return self._writer

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write one value."""
        self.writer.add_scalar(name, value, step)

    def reset(self) -> None:
        """Write out what is waiting, and begin a new file."""
        if self._writer is not None:
            self._writer.close()


def log_averages(writer: Any, batches_trained: int, metrics: Mapping[str, Any]) -> None:
    """Write those metrics of a stretch of batches that are numbers: what custom reducers made, which no batch has."""
    for name, value in scalars(metrics).items():
        writer.add_scalar(f"Determined/{name}", value, batches_trained)


def log_training(writer: Any, batches: npt.NDArray[np.int64], columns: Mapping[str, FloatArray]) -> None:
    """Write training metrics as Determined names them; ``batches`` (N,) are batches trained, the columns (N,)."""
    for name, values in columns.items():
        for batch, value in zip(batches.tolist(), values.tolist(), strict=True):
            writer.add_scalar(f"Determined/{name}", value, batch)


def log_validation(writer: Any, batches_trained: int, metrics: Mapping[str, Any]) -> None:
    """Write those metrics of a validation that are numbers."""
    for name, value in scalars(metrics).items():
        writer.add_scalar(f"Determined/{name if name.startswith('val') else f'val_{name}'}", value, batches_trained)
