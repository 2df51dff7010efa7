"""What a framework must offer so that its trials can be trained here."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from detjupyter.definition.config import Config
from detjupyter.definition.trial import Trial
from detjupyter.errors import NotATrialError
from detjupyter.protocol.records import FloatArray


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """What an adapter builds a trial from. ``device`` is None for the best one there is; ``compile`` asks for compiled models."""

    trial_class: type[Trial]
    config: Config
    seed: int
    device: str | None
    compile: bool = False


class Snapshot(Protocol):
    """A trial's state as it was between two batches, held in memory until it is written."""

    @property
    def needs_driver(self) -> bool:
        """Whether the user's code looks at the files while they are written, so that the driver's own thread must write them."""

    def write(self, directory: Path) -> None:
        """Write the state into the existing, empty ``directory``.

        Raises:
            CheckpointError: it cannot be written in any file.
            OSError: the disk does not take it.

        Thread: any, unless :attr:`needs_driver`.
        """


class TrialAdapter(ABC):
    """One trial, and the few verbs that the loop needs of it.

    An adapter is built in the caller's thread and from then on used by the driver's thread alone. It lets whatever the user's code raises
    pass through: the driver turns it into a short error. It never prints, never touches a store, and never waits for the device in
    :meth:`train_batch`: what that returns may still live there.
    """

    trial: Any  # the user's object; its class is theirs
    context: Any  # the framework's context object

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that the trial trains on, in the framework's words (``cuda:0``)."""

    @property
    def gpu_uuid(self) -> str | None:
        """NVML's name of the GPU in use, None on other devices."""
        return None

    @property
    @abstractmethod
    def batches_per_epoch(self) -> int | None:
        """Batches in one pass over the training data, None when that is unknown. Builds the data loaders if need be."""

    @property
    @abstractmethod
    def records_per_batch(self) -> int | None:
        """The batch size of the training data, None when that is unknown."""

    @property
    def stop_requested(self) -> bool:
        """Whether the trial's code has asked for its training to end after the batch under way."""
        return False

    def at_work(self) -> AbstractContextManager[object]:
        """Return what the trial's steps run in: its random states stand in the process meanwhile, and the kernel's own before and after."""
        return nullcontext()

    def begin(self, batches_trained: int) -> None:  # noqa: B027 -- what a framework without such hooks does
        """Prepare for the first batch of a training: data loaders, and what the user's code wants done when a training starts.

        Called before every training; what is to happen once in the life of a trial happens the first time.
        """

    def end_stretch(self, batches_trained: int) -> Mapping[str, Any]:  # noqa: ARG002
        """Close a stretch of batches at a boundary of the plan, and return the metrics that exist only for whole stretches."""
        return {}

    @abstractmethod
    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Train on the next batch; return its metrics, possibly still on the device, and how many records it held."""

    @abstractmethod
    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Bring the metrics of several batches (N of them) to the host at once: metric name to (N,) float64, NaN where one is missing."""

    @abstractmethod
    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Validate, yielding (batches done, batches in all or None) after each batch, and return the reduced metrics."""

    @abstractmethod
    def snapshot(self, batches_trained: int) -> Snapshot:
        """Copy the trial's state as it is between two batches; brief, since the training waits for it."""

    def save(self, directory: Path, batches_trained: int) -> None:
        """Write the trial's state into the existing, empty ``directory``; the training waits for all of it."""
        self.snapshot(batches_trained).write(directory)

    def checkpointed(self, checkpoint_id: str) -> None:  # noqa: B027
        """Tell the user's code that the checkpoint of that id is complete."""

    @abstractmethod
    def restore(self, directory: Path, *, trust: bool = False) -> None:
        """Read back what :meth:`save` wrote.

        Raises:
            CheckpointError: it cannot be read, or does not fit the trial.
        """

    @abstractmethod
    def adopt(self, other: TrialAdapter) -> None:
        """Take over the state of ``other``, a trial of an earlier version of the same class, for training to go on with it.

        Raises:
            CheckpointError: the two do not fit.
        """

    @abstractmethod
    def discard_batch(self) -> None:
        """Forget what a batch that failed half-way left behind (gradients, a data loader that broke)."""

    def explain(self, error: BaseException) -> str | None:  # noqa: ARG002
        """Return what to do about an error of the user's code, None if the framework knows no more than the error says."""
        return None

    @abstractmethod
    def release(self) -> None:
        """Let go of data loaders and their workers; the trial itself stays usable."""

    def shut_down(self) -> None:  # noqa: B027
        """Tell the user's code that the trial's life is over; at most once, after :meth:`begin`, also after a failure."""


def build_adapter(options: TrialOptions) -> TrialAdapter:
    """Return the adapter of the framework that the Trial class names, with the user's trial constructed.

    Raises:
        NotATrialError: no framework of ours has that name.
    """
    framework = options.trial_class.framework
    try:
        module = importlib.import_module(f"detjupyter.{framework}.adapter")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("detjupyter."):
            raise
        raise NotATrialError(
            f"{options.trial_class.__name__} is a Trial of the framework {framework!r}, which is not supported.",
            entrypoint=options.trial_class.__qualname__,
            hint="Derive it from detjupyter.pytorch.PyTorchTrial.",
        ) from None
    adapter: TrialAdapter = module.build(options)
    return adapter
