"""TensorBoard: a writer for the trial, and the metrics of its training in the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detjupyter.framework.metrics import single_numbers
from detjupyter.framework.tensorboard import new_directory
from detjupyter.framework.warning import warn
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import FloatArray


def make_writer(directory: Path) -> Any:
    """Return a ``SummaryWriter`` for ``directory``. Without the package, warn, and return a writer that discards everything.

    The attribute ``writer`` of the writer is the writer itself: trials that were written for the ``TorchWriter`` of 2020 use it.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        install = NextStep.INSTALL("tensorboard")
        warn(f"The package tensorboard is not installed, so the trial's TensorBoard data is discarded. To install it: {install}.")
        return SilentWriter()
    writer: Any = SummaryWriter(log_dir=str(directory))
    writer.writer = writer
    return writer


class SilentWriter:
    """Has the methods of a ``SummaryWriter``, and discards everything."""

    @property
    def writer(self) -> SilentWriter:
        """This object."""
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith(("add_", "flush", "close")):
            raise AttributeError(f"A SummaryWriter has no {name!r}.")
        return lambda *_, **__: None


class TorchWriter:
    """The class of ``determined.tensorboard.metric_writers.pytorch`` in 2020: its ``writer`` is a ``SummaryWriter``.

    Args:
        directory: The directory of the files; by default a new one next to the history.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = new_directory() if directory is None else directory
        self._writer: Any = None

    @property
    def writer(self) -> Any:
        """The ``SummaryWriter``, created at the first access."""
        if self._writer is None:
            self._writer = make_writer(self._directory)
        return self._writer

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write one value."""
        self.writer.add_scalar(name, value, step)

    def reset(self) -> None:
        """Flush and close the file; the next value begins a new one."""
        if self._writer is not None:
            self._writer.close()


def log_averages(writer: Any, batches_trained: int, metrics: Mapping[str, Any]) -> None:
    """Write the scalar metrics of a reporting period, which are those of custom reducers; a batch has no such metrics."""
    for name, value in single_numbers(metrics).items():
        writer.add_scalar(f"Determined/{name}", value, batches_trained)


def log_training(writer: Any, batches: npt.NDArray[np.int64], columns: Mapping[str, FloatArray]) -> None:
    """Write the training metrics of N batches under Determined's names.

    Args:
        writer: The ``SummaryWriter``.
        batches: (N,) how many batches had been trained after each.
        columns: Metric name to (N,) float64.
    """
    for name, values in columns.items():
        for batch, value in zip(batches.tolist(), values.tolist(), strict=True):
            writer.add_scalar(f"Determined/{name}", value, batch)


def log_validation(writer: Any, batches_trained: int, metrics: Mapping[str, Any]) -> None:
    """Write the scalar metrics of a validation."""
    for name, value in single_numbers(metrics).items():
        writer.add_scalar(f"Determined/{name if name.startswith('val') else f'val_{name}'}", value, batches_trained)
