"""TensorBoard: a writer for what the user draws, and the metrics of a training beside it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.errors import TrialError
from detjupyter.protocol.records import FloatArray
from detjupyter.store.location import home
from detjupyter.training.metrics import scalars


def make_writer(directory: Path) -> Any:
    """Return a ``SummaryWriter`` on ``directory``.

    Raises:
        TrialError: The package ``tensorboard`` is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrialError(
            "The trial writes to TensorBoard, and the package tensorboard is not installed.",
            exception="",
            user_traceback="",
            hint="`%pip install tensorboard`, then load again.",
        ) from None
    return SummaryWriter(log_dir=str(directory))


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
