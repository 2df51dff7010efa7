"""The adapter: the interface of one trial to the engine, independent of the framework.

The engine accesses a trial only through its adapter. Each framework implements the adapter once. The tests in
``tests/contract/test_framework.py`` check the duties below, for every framework.

**Life.** The engine calls :meth:`TrialAdapter.begin` before every training, then :meth:`~TrialAdapter.train_batch` for each batch in order.
``train_batch(i)`` is always followed by ``train_batch(i + 1)``, except after :meth:`~TrialAdapter.restore`, which moves the trial to the
position of the checkpoint. :meth:`~TrialAdapter.validate` and :meth:`~TrialAdapter.snapshot` can be called between any two batches and must
not change the results of the training: the following batches are bit for bit those of a training without these calls.
:meth:`~TrialAdapter.release` ends a training and :meth:`~TrialAdapter.shut_down` the trial; the user's object stays usable after both.
Between any two batches, the adapter of edited code can take over the training with :meth:`~TrialAdapter.adopt`. ``begin`` is not called
again then. If the code is unchanged, everything continues as if there had been no reload, including the reporting period, epochs,
schedulers, callbacks and a request to stop.

**Data.** The order of the data depends only on the seed and on the number of the epoch. A trial that is restored in the middle of an epoch
continues with the batch that would have been next. Data is built only when it is needed: a trial that is loaded and never trained reads no
data.

**Randomness.** A trial has its own random states. They are seeded with :attr:`TrialOptions.seed` before the user's constructor runs, and
replace those of the process only inside :meth:`~TrialAdapter.active`. The random numbers of the kernel and of the trial are independent.

**State.** A snapshot contains everything that the next batch depends on: weights, optimizer, schedulers, position in the data, random
states, and the states of the user's objects that the framework supports. After ``restore`` of what ``snapshot`` wrote, in this process or
another one, the training continues as if it had never stopped. A checkpoint that does not fit is refused and changes nothing.

**Errors.** Exceptions of the user's code are raised unchanged: the engine turns them into short errors with the user's frames. Wrong use of
the framework's interface raises a :class:`~detjupyter.errors.TrialUsageError`. After an error in a batch the engine calls
:meth:`~TrialAdapter.discard_batch`, and the trial can be trained, validated and saved again.

**Cost.** :meth:`~TrialAdapter.train_batch` never waits for the device, so the metrics that it returns can still be there.
:meth:`~TrialAdapter.fetch` transfers those of many batches to the host at once. No method prints, opens a store or waits for a view.

Thread: an adapter is built in one thread and then used by one thread at a time, the engine's. Another thread can write snapshots.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from detjupyter.definition.config import Config
from detjupyter.definition.trial import Trial
from detjupyter.protocol.records import FloatArray


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """The inputs for building a trial.

    Attributes:
        trial_class: The user's class.
        config: The configuration, with the hyperparameters.
        seed: The seed of the trial's random states and of the order of its data.
        device: The device, by the framework's name (``cuda:1``); None for the best available one.
        compile: Whether to compile the models, if the framework can.
    """

    trial_class: type[Trial]
    config: Config
    seed: int
    device: str | None
    compile: bool = False


class Snapshot(Protocol):
    """A copy of a trial's state between two batches, in memory until it is written."""

    @property
    def needs_driver(self) -> bool:
        """Whether the user's code uses the files during the write, so that the engine's own thread must write them."""

    def write(self, directory: Path) -> None:
        """Write the state into the existing, empty ``directory``.

        Raises:
            CheckpointError: A value in the state cannot be saved.
            OSError: Writing failed, for example because the disk is full.

        Thread: any, unless :attr:`needs_driver`.
        """


class TrialAdapter(ABC):
    """One trial, with the methods that the engine calls. The module's docstring lists the duties of an implementation."""

    trial: Any  # Any: the user's class
    context: Any  # Any: the framework's class

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that the trial trains on, by the framework's name (``cuda:0``)."""

    @property
    def gpu_uuid(self) -> str | None:
        """The UUID of the trial's GPU in NVML's form, None on other devices."""
        return None

    @property
    @abstractmethod
    def batches_per_epoch(self) -> int | None:
        """The batches of one epoch, None if that is unknown. Builds the training data if necessary."""

    @property
    @abstractmethod
    def records_per_batch(self) -> int | None:
        """The batch size of the training data, None if that is unknown. Builds the training data if necessary."""

    @property
    def stop_requested(self) -> bool:
        """Whether the trial's code has asked to end its training after the current batch."""
        return False

    def active(self) -> AbstractContextManager[object]:
        """Return a context manager for running the trial's code: inside, the process has the trial's random states. Can be nested."""
        return nullcontext()

    def begin(self, batches_trained: int) -> None:  # noqa: B027 -- the default, for a framework without such hooks
        """Prepare for the first batch of a training: build the data, and call the user's hooks for the start of a training.

        Called before every training. Hooks that belong to the start of the trial are called only the first time.
        """

    def end_report_period(self, batches_trained: int) -> Mapping[str, Any]:  # noqa: ARG002
        """End a reporting period, and return the metrics that exist only for a whole period."""
        return {}

    @abstractmethod
    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Train on the next batch; ``batch_idx`` counts from 0 over the whole training.

        Returns:
            The metrics of the batch, possibly still on the device, in objects that no later batch changes; and the number of its records.
        """

    @abstractmethod
    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Transfer the metrics of N batches to the host at once, as metric name to (N,) float64, NaN where a batch lacks the metric.

        A metric that is a number in none of the batches is left out.
        """

    @abstractmethod
    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Validate, yielding (batches done, number of batches or None) after each batch; return the reduced metrics.

        If the generator is closed before its end, the validation must not change the training either.
        """

    @abstractmethod
    def snapshot(self, batches_trained: int) -> Snapshot:
        """Copy the trial's state between two batches. This must be fast, because the training waits for it."""

    def save(self, directory: Path, batches_trained: int) -> None:
        """Write the trial's state into the existing, empty ``directory``, in the calling thread."""
        self.snapshot(batches_trained).write(directory)

    def checkpointed(self, checkpoint_id: str) -> None:  # noqa: B027
        """Notify the user's code that the checkpoint with this id is complete."""

    @abstractmethod
    def restore(self, directory: Path, *, trust: bool = False) -> None:
        """Restore the state that :meth:`save` wrote; ``trust`` allows formats whose reading can execute arbitrary code.

        Raises:
            CheckpointError: The state cannot be read, or does not fit the trial, which then keeps its present state.
            UntrustedCheckpointError: The state can be read only with ``trust``.
        """

    @abstractmethod
    def adopt(self, other: TrialAdapter) -> None:
        """Take over the state of ``other``, a trial of an earlier version of the same class, and continue its training.

        Called once, on a new adapter, inside :meth:`active`. Afterwards, ``other`` is only released.

        Raises:
            CheckpointError: The state does not fit this trial. The training of ``other`` can then continue.
        """

    @abstractmethod
    def discard_batch(self) -> None:
        """Drop what is left of a failed batch, such as gradients or a broken data loader."""

    def explain(self, error: BaseException) -> str | None:  # noqa: ARG002
        """Return a hint about an exception of the user's code, None if the framework has none."""
        return None

    @abstractmethod
    def release(self) -> None:
        """Release the data and its workers. The trial itself stays usable."""

    @staticmethod  # noqa: B027 -- the default, for a framework without devices
    def free_device_memory() -> None:
        """Free the device memory that the framework caches. Called after the objects of a trial were deleted."""

    def shut_down(self) -> None:  # noqa: B027
        """Notify the user's code that the trial has ended. At most one notification, only after :meth:`begin`, also after a failure."""
