"""PyTorch trials for the loop."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detjupyter.errors import CheckpointError, TrialError
from detjupyter.protocol.records import FloatArray
from detjupyter.pytorch.averages import average_metrics, host_rows
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.layouts import read_state
from detjupyter.pytorch.checkpoints.snapshot import take_snapshot
from detjupyter.pytorch.checkpoints.state import HostMemory
from detjupyter.pytorch.checkpoints.trial_state import OURS, WrittenOptions, copied_to_host, gather, load
from detjupyter.pytorch.compilation import compile_model
from detjupyter.pytorch.construction import construct
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.data.batches import data_length
from detjupyter.pytorch.data.generators import find_generators, set_states, states_of
from detjupyter.pytorch.data.stream import EmptyDataError
from detjupyter.pytorch.data.training_data import TrainingData
from detjupyter.pytorch.device import choose_device, gpu_uuid
from detjupyter.pytorch.gradients import parameters_of
from detjupyter.pytorch.host import column
from detjupyter.pytorch.mistakes import mistake
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.styles import Procedure, procedure_for
from detjupyter.pytorch.tensorboard import log_averages, log_training, log_validation
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.pytorch.validation import validate
from detjupyter.training.adapter import Snapshot, TrialAdapter, TrialOptions


def build(options: TrialOptions) -> TrialAdapter:
    """Construct the user's trial and return its adapter.

    The trial draws from random states of its own, seeded for it; the process's stay as they are.

    Raises:
        DeviceError: the device is not there.
        TrialError: the trial wraps no model or no optimizer.
    """
    device = choose_device(options.device)
    randomness = RandomStream(RandomStates.seeded(options.seed, device), device)
    with randomness.active():
        context = PyTorchTrialContext(options.config, seed=options.seed, device=device)
        trial = construct(options.trial_class, context)
        adapter = adapt(trial, context, randomness, options.seed)
    if options.compile:
        for model in context.models:
            compile_model(model)
    return adapter


def adapt(trial: PyTorchTrial, context: PyTorchTrialContext, randomness: RandomStream, seed: int) -> PyTorchAdapter:
    """Return the adapter of a trial that was just constructed.

    Raises:
        TrialError: the trial wraps no model or no optimizer.
    """
    callbacks = Callbacks(trial.build_callbacks())
    procedure = procedure_for(trial, context, callbacks)
    procedure.set_up()
    for what, wrapped, verb in (("model", context.models, "wrap_model"), ("optimizer", context.optimizers, "wrap_optimizer")):
        if not wrapped:
            raise TrialError(
                f"{type(trial).__name__}.__init__ wraps no {what}.",
                exception="",
                user_traceback="",
                hint=f"Pass the {what} through `context.{verb}(…)` there.",
            )
    _require_own_parameters(context)
    return PyTorchAdapter(trial, context, procedure, callbacks, randomness, seed)


def _require_own_parameters(context: PyTorchTrialContext) -> None:
    """Raise a TrialError for an optimizer that trains nothing of any wrapped model: its updates would change nothing that is used."""
    mine = {id(parameter) for model in context.models for parameter in model.parameters()}
    for index, optimizer in enumerate(context.optimizers):
        trained = parameters_of(optimizer)
        if mine and mine.isdisjoint(map(id, trained)):
            raise TrialError(
                f"Optimizer {index} ({type(optimizer).__name__}) trains {len(trained)} parameters, none of them of a wrapped model.",
                exception="",
                user_traceback="",
                hint="Give it `model.parameters()` of what `context.wrap_model(…)` returned.",
            )


@dataclass(frozen=True, slots=True)
class _Draws:
    """Where everything is that a training draws from in this process: random states, and generators of the dataset and of the trial."""

    states: RandomStates
    of_the_data: Mapping[str, Any]
    of_the_trial: Mapping[str, Any]


class PyTorchAdapter(TrialAdapter):
    """One PyTorch trial, its loaders and its place in the data.

    Args:
        trial: The user's object.
        context: What it was built with.
        procedure: How its methods are called.
        callbacks: Its callbacks.
        randomness: What it draws from.
        seed: The trial's.
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
        self._trained = 0
        self._restored_from: str | None = None
        self._has_started = self._has_trained = self._is_over = False
        self._memory = HostMemory()  # for copies of the state
        self._has_memory = False
        self._train_batch = procedure.train_batch
        # The default is called without the way through the trial.
        self._length_of = data_length if type(trial).get_batch_length is PyTorchTrial.get_batch_length else trial.get_batch_length
        self._before_validation: _Draws | None = None  # what a validation under way may not move
        self._before_data: RandomStates | None = None  # where a new trial's data would have been built, if a state was loaded before
        self._per_epoch: int | None = None
        self._has_hooks = False
        self._stretch: list[Mapping[str, Any]] | None = [] if callbacks.wants_stretches else None
        self._step_id: int | None = None  # of the stretch under way
        self._written = WrittenOptions.of(context)  # as the code wrote them; adopt() compares

    @property
    def device(self) -> str:
        """The torch device, as text."""
        return str(self.context.device)

    @property
    def gpu_uuid(self) -> str | None:
        """NVML's name of the GPU in use."""
        return gpu_uuid(self.context.device)

    @property
    def batches_per_epoch(self) -> int | None:
        """The length of the training loader."""
        self._load_data()
        return self._data.per_epoch

    @property
    def records_per_batch(self) -> int | None:
        """The batch size of the training loader."""
        self._load_data()
        return self._data.records_per_batch

    @property
    def stop_requested(self) -> bool:
        """Whether the trial called ``context.set_stop_requested(True)``."""
        return self.context.stop_requested

    def at_work(self) -> AbstractContextManager[object]:
        """Let the block draw from the trial's own random states."""
        return self._randomness.active()

    # --- training -----------------------------------------------------------------------------------------------------------------

    def begin(self, batches_trained: int) -> None:
        """Load the data, and tell the callbacks the first time."""
        self._trained = batches_trained
        self._load_data()
        self.context.begin_training(batches_trained)
        self._has_hooks = (
            self.context.steps_after_batches
            or self._stretch is not None
            or any(
                self._callbacks.overrides(moment) for moment in ("on_train_step_start", "on_training_epoch_start", "on_training_epoch_end")
            )
        )
        if not self._has_trained:
            self._has_trained = True
            self.context.begin_profiling()
            self._callbacks.on_training_start()
        self.context.reducers.reset(training=True)

    def train_batch(self, batch_idx: int) -> tuple[Mapping[str, Any], int]:
        """Train on the next batch; what the trial returns stays on the device."""
        context, per_epoch, data = self.context, self._per_epoch, self._data
        try:
            batch = next(data.batches or data.begin(batch_idx))
        except EmptyDataError:
            data.drop()
            raise _no_batches(batch_idx) from None
        except (ConnectionError, EOFError, FileNotFoundError) as error:  # the last one: its shared memory went with it
            if not data.has_workers or str(error).startswith("Caught "):  # what the dataset raised in a worker
                raise
            raise _worker_lost(error) from None
        epoch_idx = batch_idx // per_epoch if per_epoch else 0
        context.batch_idx = batch_idx
        if self._has_hooks:
            self._before_batch(batch_idx, epoch_idx)
        records = self._length_of(batch)  # first: if it fails, the weights are still those of the batch before
        result = self._train_batch(batch=batch, epoch_idx=epoch_idx, batch_idx=batch_idx)
        row = _row(result)
        self._trained = batch_idx + 1
        if self._has_hooks:
            self._after_batch(row, batch_idx, epoch_idx)
        return row, records

    def _before_batch(self, batch_idx: int, epoch_idx: int) -> None:
        """Tell the callbacks of what this batch begins."""
        if self._step_id is None:
            self._step_id = batch_idx // self.context.settings.scheduling_unit + 1
            self._callbacks.on_train_step_start(self._step_id)
        if self._per_epoch and batch_idx % self._per_epoch == 0:
            self._callbacks.on_training_epoch_start(epoch_idx)

    def _after_batch(self, row: Mapping[str, Any], batch_idx: int, epoch_idx: int) -> None:
        """Do what only some trials need after a batch."""
        self.context.end_batch()
        if self._stretch is not None:
            self._stretch.append(row)
        if self._per_epoch and (batch_idx + 1) % self._per_epoch == 0:
            self._callbacks.on_training_epoch_end(epoch_idx)

    def end_stretch(self, batches_trained: int) -> Mapping[str, Any]:
        """Reduce the custom reducers, and show the callbacks the averages of the stretch."""
        reducers = self.context.reducers
        reduced = reducers.reduce(training=True)
        if self._stretch:
            rows, self._stretch = host_rows(self._stretch), []
            per_epoch = self._per_epoch
            done = {"batches": batches_trained, "epochs": batches_trained // per_epoch if per_epoch else 0}
            averages = {**done, **average_metrics(rows), **reduced}
            self._callbacks.on_training_workload_end(avg_metrics=averages, batch_metrics=rows)
            if self._step_id is not None:
                self._callbacks.on_train_step_end(self._step_id, {"avg_metrics": averages, "batch_metrics": rows})
        self._step_id = None
        if self.context.scalar_writer is not None:
            log_averages(self.context.scalar_writer, batches_trained, reduced)
        reducers.reset(training=True)
        return reduced

    def fetch(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, FloatArray]:
        """Bring the metrics to the host, one transfer for each."""
        if not self._has_memory:  # there are optimizer states to copy now
            self._has_memory = True
            models, optimizers = self.context.models, self.context.optimizers
            states = [*(model.state_dict() for model in models), *(optimizer.state_dict() for optimizer in optimizers)]
            self._memory.prepare(states, pinned=self.context.device.type == "cuda")
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: column([row.get(name) for row in rows]) for name in names}
        found = {name: values for name, values in columns.items() if values is not None}
        writer = self.context.scalar_writer
        if writer is not None:
            log_training(writer, np.arange(self._trained - len(rows) + 1, self._trained + 1), found)
        return found

    def validate(self) -> Generator[tuple[int, int | None], None, Mapping[str, Any]]:
        """Evaluate the validation data; what is drawn meanwhile is not drawn for the training."""
        self._start(self._trained)
        self._before_validation = self._draws()
        try:
            metrics = yield from validate(self.trial, self.context, self._procedure, self._callbacks)
            if self.context.scalar_writer is not None:
                log_validation(self.context.scalar_writer, self._trained, metrics)
            return metrics
        finally:
            before, self._before_validation = self._before_validation, None
            self._randomness.replace(before.states)
            self._data.set_generators(before.of_the_data)
            set_states(self._own_generators(), before.of_the_trial)

    def discard_batch(self) -> None:
        """Drop gradients and the batches under way: a batch failed."""
        for optimizer in self.context.optimizers:
            optimizer.zero_grad()
        self._data.drop()

    def explain(self, error: BaseException) -> str | None:
        """Say of an attribute that a restored trial lacks why it does."""
        if isinstance(error, AttributeError) and error.obj is self.trial and self._restored_from is not None:
            return (
                f"The trial was restored from the checkpoint {self._restored_from}, which holds what is wrapped and what callbacks save. "
                f"Set `self.{error.name}` in __init__, or keep it in a callback's state_dict()."
            )
        return None

    def release(self) -> None:
        """Let go of the data loaders."""
        self._data.release()

    def shut_down(self) -> None:
        """Tell the callbacks that the trial is over, once."""
        if not self._is_over:
            self._is_over = True
            self.context.end()
            if self._has_started:
                self._callbacks.on_trial_shutdown()

    def _start(self, first_batch_idx: int) -> None:
        if not self._has_started:
            self._has_started = True
            self._callbacks.on_trial_startup(first_batch_idx, self._restored_from)

    def _load_data(self) -> None:
        if self._data.is_loaded:
            return
        self._start(self._trained)
        self._build_data()
        self._per_epoch = self.context.batches_per_epoch = self._data.per_epoch
        for model in self.context.models:
            model.train()

    def _build_data(self) -> None:
        """Build the training data, of a restored trial from the draws that a new one makes: a random split is the same one again."""
        if self._before_data is None:
            self._data.load()
            return
        now = self._randomness.capture()
        self._randomness.replace(self._before_data)
        try:
            with self._randomness.active():
                self._data.load()
        finally:
            self._randomness.replace(now)

    # --- state --------------------------------------------------------------------------------------------------------------------

    def snapshot(self, batches_trained: int) -> Snapshot:
        """Copy the trial's state."""
        state = self._state(batches_trained)
        self._callbacks.on_checkpoint_save_start(state)
        return take_snapshot(state, self._callbacks, self._memory)

    def checkpointed(self, checkpoint_id: str) -> None:
        """Tell the callbacks that a checkpoint is complete."""
        if self._callbacks.overrides("on_checkpoint_upload_end"):
            with self.at_work():  # the training may be paused by now: a cell that draws meanwhile is left alone if possible
                self._callbacks.on_checkpoint_upload_end(uuid=checkpoint_id)

    def restore(self, directory: Path, *, trust: bool = False) -> None:
        """Read back a checkpoint; if it does not fit, the trial stays as it was."""
        state = read_state(directory, trust=trust)
        batches_trained = int(state.get(OURS, {}).get("batches_trained", 0))
        self._restored_from = directory.name
        self._start(batches_trained)
        self._callbacks.on_checkpoint_load_start(state)
        before = copied_to_host(self._state(self._trained))
        try:
            load(self.context, state, str(directory))
        except CheckpointError:
            load(self.context, before, None)  # a model copies what fits before it says what does not
            raise
        self._callbacks.load_state_dict(state.get("callbacks", {}))
        self._go_on_from(state)
        self._trained = batches_trained

    def adopt(self, other: TrialAdapter) -> None:
        """Take over the state of an earlier version of this trial, and the options that the new code leaves alone."""
        if not isinstance(other, PyTorchAdapter):
            raise CheckpointError(f"A trial of {type(other).__name__} cannot go on as a PyTorch trial.")
        state = other._state(other._trained)
        fresh = len(state["lr_schedulers_state_dict"]) != len(self.context.lr_schedulers)
        if fresh:  # the edit was about schedulers: they begin anew
            state["lr_schedulers_state_dict"] = [scheduler.state_dict() for scheduler in self.context.lr_schedulers]
        load(self.context, state, None)
        self._written.restore_edits(self.context, other._written)
        self._callbacks.load_state_dict({name: mine for name, mine in state["callbacks"].items() if name in self._callbacks})
        self._go_on_from(state)
        self._trained = other._trained
        self._has_started, self._has_trained = other._has_started, other._has_trained

    def _state(self, batches_trained: int) -> dict[str, Any]:
        draws = self._before_validation or self._draws()
        place = self._data.state(batches_trained) | {"dataset_generators": draws.of_the_data}
        state = gather(self.context, self._callbacks, place, batches_trained)
        state[OURS] |= {"trial_generators": draws.of_the_trial, "has_data": self._data.is_loaded or self._before_data is not None}
        state["rng_state"] = draws.states.to_checkpoint()
        return state

    def _draws(self) -> _Draws:
        return _Draws(self._randomness.capture(), self._data.generators(), states_of(self._own_generators()))

    def _own_generators(self) -> dict[str, Any]:
        """Return the generators that the trial keeps as attributes."""
        return find_generators(self.trial, without=self.context)

    def _go_on_from(self, state: Mapping[str, Any]) -> None:
        """Go on drawing, and reading data, where ``state`` was taken."""
        if "rng_state" in state:
            ours = state.get(OURS, {})
            had_data = ours.get("has_data", ours.get("batches_trained", 1) > 0)  # its draws come before those of the state
            if had_data and not self._data.is_loaded and self._before_data is None:
                self._before_data = self._randomness.capture()
            self._randomness.replace(RandomStates.from_checkpoint(state["rng_state"]))
        set_states(self._own_generators(), state.get(OURS, {}).get("trial_generators", {}))
        place = state.get(OURS, {}).get("data")
        if place is not None:
            self._data.restore(place)
        else:
            self._data.drop()


def _no_batches(batch_idx: int) -> TrialError:
    if batch_idx == 0:
        return mistake("There are no training batches", "build_training_data_loader() returned an empty loader.")
    return mistake(
        f"A pass over the training data held no batch (after batch {batch_idx:,})",
        "What build_training_data_loader() returns is gone over again and again.",
        "A generator can be gone over only once: return an object whose __iter__ begins anew, or train no longer than the data lasts.",
    )


def _worker_lost(error: Exception) -> TrialError:
    return TrialError(
        "A DataLoader worker ended while a batch was awaited.",
        exception=f"{type(error).__name__}: {error}",
        user_traceback="",
        hint="The system may have killed it for its memory: try fewer workers, or smaller batches. `%det_train` goes on from here.",
    )


def _row(result: Any) -> Mapping[str, Any]:
    """Return what ``train_batch`` gave as metrics that no later batch can change."""
    if type(result) is not dict:
        if isinstance(result, torch.Tensor):
            result = {"loss": result}
        elif not isinstance(result, Mapping):
            raise mistake("train_batch() returns the loss or a dict of metrics", f"It returned {type(result).__name__}.")
    row = {}
    for name, value in result.items():
        if isinstance(value, torch.Tensor):
            kept = value.detach()
            # A result of the graph is new in every batch; a leaf may be a tensor that the trial adds to.
            row[name] = kept.clone() if value.is_leaf else kept
        else:
            row[name] = value
    return row
