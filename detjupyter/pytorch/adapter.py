"""The adapter of PyTorch trials."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detjupyter.engine.once import Once
from detjupyter.engine.plan import EMPTY_DATA
from detjupyter.errors import CheckpointError, TrialError, TrialUsageError
from detjupyter.framework.adapter import Snapshot, TrialAdapter
from detjupyter.framework.context import continue_training
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import FloatArray
from detjupyter.pytorch.batch_hooks import BatchHooks
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.layouts import read_state
from detjupyter.pytorch.checkpoints.snapshot import take_snapshot
from detjupyter.pytorch.checkpoints.state import HostMemory
from detjupyter.pytorch.checkpoints.trained_parameters import optimizer_state
from detjupyter.pytorch.checkpoints.training_state import TrainingState
from detjupyter.pytorch.checkpoints.trial_state import OUR_KEY
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.context.between_batches import BetweenBatches
from detjupyter.pytorch.data.batches import data_length
from detjupyter.pytorch.data.stream import EmptyDataError
from detjupyter.pytorch.data.training_data import TrainingData
from detjupyter.pytorch.device import gpu_uuid
from detjupyter.pytorch.randomness import RandomStream
from detjupyter.pytorch.rows import columns, keep_row
from detjupyter.pytorch.styles import Procedure
from detjupyter.pytorch.tensorboard import log_training, log_validation
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.pytorch.update_check import UpdateCheck
from detjupyter.pytorch.validation import validate


class PyTorchAdapter(TrialAdapter):
    """One PyTorch trial and its training data.

    Args:
        trial: The user's trial.
        context: The context that it was built with.
        procedure: Calls the trial's methods.
        callbacks: The trial's callbacks.
        randomness: The random states that the trial draws from.
        seed: The trial's seed.
    """

    trial: PyTorchTrial
    context: PyTorchTrialContext

    def __init__(
        self,
        trial: PyTorchTrial,
        context: PyTorchTrialContext,
        procedure: Procedure,
        callbacks: Callbacks,
        randomness: RandomStream,
        seed: int,
    ) -> None:
        self.trial = trial
        self.context = context
        self._procedure = procedure
        self._callbacks = callbacks
        self._randomness = randomness
        self._data = TrainingData(trial.build_training_data_loader, context, seed)
        self._state = TrainingState(trial, context, callbacks, randomness, self._data)
        self._between = BetweenBatches(context)
        self._hooks = BatchHooks(context, callbacks, self._between)
        self._trained = 0
        self._restored_from: str | None = None
        self._has_started = self._has_trained = self._is_over = False
        self._memory = HostMemory()  # for copies of the state
        self._has_memory = False
        self._left_out = Once()
        self._updates = UpdateCheck(context.models)
        self._train_batch = procedure.train_batch  # an alias: one lookup less a batch
        # A fast path, since this is called in every batch: the default needs no call through the trial.
        self._length_of = data_length if type(trial).get_batch_length is PyTorchTrial.get_batch_length else trial.get_batch_length
        self._per_epoch: int | None = None

    @property
    def device(self) -> str:
        """The torch device, as a string."""
        return str(self.context.device)

    @property
    def gpu_uuid(self) -> str | None:
        """The UUID of the trial's GPU, as NVML uses it; None without one."""
        return gpu_uuid(self.context.device)

    @property
    def batches_per_epoch(self) -> int | None:
        """The length of the training loader, None if it has none."""
        self._load_data()
        return self._data.per_epoch

    @property
    def records_per_batch(self) -> int | None:
        """The batch size of the training loader, None if it has none."""
        self._load_data()
        return self._data.records_per_batch

    @property
    def stop_requested(self) -> bool:
        """Whether the trial called ``context.set_stop_requested(True)``."""
        return self.context.stop_requested

    def active(self) -> AbstractContextManager[object]:
        """Return a context manager in whose block the process draws from the trial's random states."""
        return self._randomness.active()

    # Training.

    def begin(self, batches_trained: int) -> None:
        """Build the training data; at the first training, also start the profiler and call ``on_training_start``."""
        self._trained = batches_trained
        self._load_data()
        self._between.begin_training(batches_trained)
        if not self._has_trained:
            self._has_trained = True
            self._between.begin_profiling()
            with self._state.calling("on_training_start"):
                self._callbacks.on_training_start()
        self._hooks.begin()
        self._updates.begin(batches_trained, self.context.aggregation)

    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Train on the next batch. The metrics that the trial returns stay on the device."""
        context, hooks, data = self.context, self._hooks, self._data
        try:
            batch = next(data.batches or self._begin_data(batch_idx))
        except EmptyDataError:
            data.drop()
            raise _no_batches(batch_idx) from None
        except (ConnectionError, EOFError, FileNotFoundError) as error:  # torch raises the last one if a worker's shared memory is gone
            if not data.has_workers or str(error).startswith("Caught "):  # torch's prefix for what the dataset raised in a worker
                raise
            raise _worker_lost(error) from None
        epoch_idx = batch_idx // self._per_epoch if self._per_epoch else 0
        context.batch_idx = batch_idx
        if hooks.are_needed:
            hooks.before_batch(batch_idx, epoch_idx)
        records = self._length_of(batch)  # before training: if this raises, the batch has not changed the weights
        result = self._train_batch(batch=batch, epoch_idx=epoch_idx, batch_idx=batch_idx)
        row = keep_row(result)
        self._trained = batch_idx + 1  # after everything that can raise: a failed batch does not count
        if hooks.are_needed:
            hooks.after_batch(row, batch_idx, epoch_idx)
        return row, records

    def end_report_period(self, batches_trained: int) -> Mapping[str, Any]:
        """Reduce the custom reducers, and pass the averages of the reporting period to the callbacks."""
        return self._hooks.end_report_period(batches_trained)

    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Transfer the metrics of N batches to the host, as name to (N,) float64; many scalar metrics need only one transfer."""
        if not self._has_memory:  # only now: optimizers create their states in the first batch
            self._has_memory = True
            models, optimizers = self.context.models, self.context.optimizers
            states = [*(model.state_dict() for model in models), *(optimizer_state(optimizer) for optimizer in optimizers)]
            self._memory.prepare(states, pinned=self.context.device.type == "cuda")
        if not self._updates.is_done:
            self._updates.look(self._trained)
        found = columns(rows)
        writer = self._between.scalar_writer
        if writer is not None:
            log_training(writer, np.arange(self._trained - len(rows) + 1, self._trained + 1), found)
        return found

    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Evaluate the validation data, without changing the random numbers that the training draws afterwards."""
        self._start(self._trained)
        with self._state.preserved_randomness():
            metrics = yield from validate(self.trial, self.context, self._procedure, self._callbacks, self._left_out)
            if self._between.scalar_writer is not None:
                log_validation(self._between.scalar_writer, self._trained, metrics)
            return metrics

    def discard_batch(self) -> None:
        """Drop the gradients, and the batches that are being loaded, after a batch failed."""
        for optimizer in self.context.optimizers:
            optimizer.zero_grad()
        # The iterator is already behind the failed batch; the next one begins with that batch again.
        self._data.drop()

    def explain(self, error: BaseException) -> str | None:
        """Explain why a restored trial lacks an attribute."""
        if isinstance(error, AttributeError) and error.obj is self.trial and self._restored_from is not None:
            return (
                f"The trial was restored from the checkpoint {self._restored_from}. It contains the wrapped objects, the states of "
                "callbacks, and attributes that hold tensors, numbers and text, but not this one. "
                f"Set `self.{error.name}` in __init__, or keep it in a callback's state_dict()."
            )
        return None

    def release(self) -> None:
        """Release the data loaders and their workers."""
        self._data.release()

    @staticmethod
    def free_device_memory() -> None:
        """Empty the caches of the device allocators in use. This does not initialize a device that the process has not used."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()

    def shut_down(self) -> None:
        """Stop the profiler and call ``on_trial_shutdown``, at the first call only."""
        if not self._is_over:
            self._is_over = True
            self._between.end()
            if self._has_started:  # callbacks that were never started have nothing to shut down
                self._callbacks.on_trial_shutdown()

    def _start(self, first_batch_idx: int) -> None:
        if not self._has_started:
            self._has_started = True
            with self._state.calling("on_trial_startup"):
                self._callbacks.on_trial_startup(first_batch_idx, self._restored_from)

    def _begin_data(self, batch_idx: int) -> Iterator[Any]:
        self._load_data()  # after a reload, the new version of the trial has not built its data yet
        return self._data.begin(batch_idx)

    def _load_data(self) -> None:
        if self._data.is_loaded:
            return
        self._start(self._trained)
        self._state.build_data()
        self._per_epoch = self.context.batches_per_epoch = self._data.per_epoch
        self._state.modes.begin()

    # The state.

    def snapshot(self, batches_trained: int) -> Snapshot:
        """Copy the trial's state."""
        state = self._state.gather(batches_trained)
        self._state.warn_of_lost_attributes(state)
        self._callbacks.on_checkpoint_save_start(state)
        return take_snapshot(state, self._callbacks, self._memory)

    def checkpointed(self, checkpoint_id: str) -> None:
        """Call ``on_checkpoint_upload_end``, when a checkpoint is complete."""
        if self._callbacks.overrides("on_checkpoint_upload_end"):
            # Only for a callback: a cell that draws concurrently, during a pause, would draw from the trial's states.
            with self.active():
                self._callbacks.on_checkpoint_upload_end(uuid=checkpoint_id)

    def restore(self, directory: Path, *, trust: bool = False) -> None:
        """Restore the state in a checkpoint. If it does not fit, the trial keeps its present state."""
        state = read_state(directory, trust=trust, owner=self.trial)
        self._state.require_sound(state, str(directory))
        batches_trained = state[OUR_KEY].get("batches_trained", 0)
        before, self._restored_from = self._restored_from, directory.name  # before _start(), which passes it to the callbacks
        try:
            self._start(batches_trained)
            self._callbacks.on_checkpoint_load_start(state)
            self._state.restore(state, str(directory), self._trained)
        except BaseException:
            self._restored_from = before
            raise
        self._trained = batches_trained

    def adopt(self, other: TrialAdapter) -> None:
        """Take over the state of an earlier version of this trial, and continue its training after a reload.

        Options of optimizers and schedulers are taken over unless the new code changes them. The training data is built again when the next
        batch needs it.
        """
        if not isinstance(other, PyTorchAdapter):
            raise CheckpointError(f"The state of a {type(other).__name__} does not fit a PyTorch trial.")
        self._state.adopt(other._state, other._trained)
        self._trained, self._per_epoch, self._restored_from = other._trained, other._per_epoch, other._restored_from
        self._has_started, self._has_trained = other._has_started, other._has_trained
        continue_training(self.context, other.context)
        self._hooks.adopt(other._hooks)
        other._between.end()  # torch supports only one active profiler
        if self._has_trained:
            self._between.begin_profiling()


def _no_batches(batch_idx: int) -> TrialError:
    if batch_idx == 0:
        return TrialUsageError("There are no training batches.", "build_training_data_loader() returned an empty loader.", EMPTY_DATA)
    return TrialUsageError(
        f"An epoch of the training data contained no batch (after batch {batch_idx:,}).",
        "The object that build_training_data_loader() returned can be iterated only once, but every epoch iterates over it.",
        "Return an object whose __iter__ starts from the beginning, not a generator; or train no longer than the data lasts.",
    )


def _worker_lost(error: Exception) -> TrialError:
    return TrialError(
        "A DataLoader worker ended while the training waited for its batch.",
        exception=f"{type(error).__name__}: {error}",
        hint=f"The system may have killed it for its memory: try fewer workers or smaller batches. {NextStep.TRAIN} continues from here.",
    )
