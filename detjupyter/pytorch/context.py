"""What a PyTorch trial gets to know of its surroundings, and through what it says what it trains."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.config.keys import Settings
from detjupyter.errors import HyperparameterError, TrialError
from detjupyter.pytorch.amp import autocast_forward, make_scaler
from detjupyter.pytorch.custom_reducers import CustomReducers
from detjupyter.pytorch.data.batches import to_device
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.distributed import SingleProcess
from detjupyter.pytorch.experimental import ExperimentalSwitches
from detjupyter.pytorch.gradients import Accumulation, parameters_of, zero_gradients
from detjupyter.pytorch.lr_scheduler import LRScheduler, StepMode, advance_all
from detjupyter.pytorch.mistakes import mistake
from detjupyter.pytorch.tensorboard import make_writer, new_directory

logger = logging.getLogger("detjupyter")

_NO_EPOCH = 2**62
_OPT_LEVELS = ("O0", "O1", "O2", "O3")  # apex's

Thing = TypeVar("Thing")


class PyTorchTrialContext:
    """The first argument of a PyTorch trial's constructor.

    Attributes:
        device: Where models and batches live.
        models: The wrapped models, in order.
        optimizers: The wrapped optimizers, in order.
        lr_schedulers: The wrapped schedulers, in order, each with its step mode.
        scaler: What scales losses in mixed precision, None without.
        reducers: The custom reducers.
        distributed: The world of one process.
        experimental: Switches that few need.
        stop_requested: Whether the trial has asked for its training to end.
        aggregation: Over how many batches gradients are gathered for one update, at most.
        batch_idx: The batch under way, or the last one, from 0; None before the first. Set by the adapter.
        batches_per_epoch: The length of the training data, None where it is not known. Set by the adapter.
    """

    def __init__(
        self,
        config: Config,
        *,
        seed: int | None,
        device: torch.device,
        managed: bool = True,
        knows_config: bool = True,
        knows_hyperparameters: bool = True,
    ) -> None:
        self.device = device
        self.models: list[torch.nn.Module] = []
        self.optimizers: list[torch.optim.Optimizer] = []
        self.lr_schedulers: list[LRScheduler] = []
        self.scaler: torch.amp.GradScaler | None = None
        self.reducers = CustomReducers()
        self.experimental = ExperimentalSwitches(self)
        self.distributed = SingleProcess()
        self.stop_requested = False
        self.aggregation = 1
        self._config = config
        self._seed = seed
        self._managed = managed
        self._knows_config = knows_config
        self._knows_hyperparameters = knows_hyperparameters
        self._accumulation: dict[int, Accumulation] = {}
        self._plain: set[int] = set()  # the optimizers, by id, that make a step of every batch
        self.batch_idx: int | None = None
        self._initial_batch = 0
        self.batches_per_epoch: int | None = None
        self._has_updated = False
        self._profiler: Any = None
        self._writer: Any = None
        self._tensorboard_path: Path | None = None
        self._logs_to_tensorboard = True

    @property
    def config(self) -> Config:
        """The configuration, whether or not the trial is to know of it."""
        return self._config

    @property
    def settings(self) -> Settings:
        """What the configuration asks for besides hyperparameters."""
        return self._config.settings

    @property
    def _epoch_len(self) -> int | None:  # not public there either, but definitions read it for their schedules
        return self.batches_per_epoch

    @property
    def _current_batch_idx(self) -> int | None:  # likewise, in evaluate_full_dataset
        return self.batch_idx

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> PyTorchTrialContext:
        """Return a context to build a trial with and call its methods by hand, without any training around it.

        Ranges of hyperparameters are sampled with the config's ``reproducibility.experiment_seed`` (0 without). ``wrap_*`` return what
        they are given; models still go to the best device there is.
        """
        read = read_config(config, Path.cwd(), None, 0)
        seed = read.settings.experiment_seed or 0
        return cls(read_config(config, Path.cwd(), None, seed), seed=seed, device=choose_device(None), managed=False)

    def __getattr__(self, name: str) -> Any:
        """Say of a name that is not here what is."""
        there = [known for known in (*dir(type(self)), *vars(self)) if not known.startswith("_")]
        close = difflib.get_close_matches(name, there, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"PyTorchTrialContext has no {name!r}; detjupyter trains in one process, without horovod or DeepSpeed.{meant}")

    # --- what is trained ----------------------------------------------------------------------------------------------------------

    def wrap_model(self, model: torch.nn.Module) -> torch.nn.Module:
        """Move ``model`` to the device, have it saved in checkpoints, and return it."""
        model = model.to(self.device)
        if self._managed:
            if self.experimental.auto_amp:
                autocast_forward(model, self.device)
            self.models.append(model)
        return model

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        backward_passes_per_step: int = 1,
        fp16_compression: bool | None = None,
        average_aggregated_gradients: bool | None = None,
    ) -> torch.optim.Optimizer:
        """Have ``optimizer`` saved in checkpoints and stepped by :meth:`step_optimizer`, and return it.

        ``fp16_compression`` concerns training in several processes and does nothing here.
        """
        del fp16_compression
        frequency = self._optimization("aggregation_frequency", 1)
        for name, value in (("backward_passes_per_step", backward_passes_per_step), ("aggregation_frequency", frequency)):
            if type(value) is not int or value < 1:
                raise HyperparameterError(f"{name} is a whole number of at least 1, not {value!r}.", name=name)
        average = (
            self._optimization("average_aggregated_gradients", True)
            if average_aggregated_gradients is None
            else average_aggregated_gradients
        )
        self._accumulation[id(optimizer)] = Accumulation(frequency * backward_passes_per_step, average)
        if frequency * backward_passes_per_step == 1:
            self._plain.add(id(optimizer))
        if self._managed:
            self.optimizers.append(optimizer)
            self.aggregation = max(self.aggregation, frequency * backward_passes_per_step)
        return optimizer

    def wrap_lr_scheduler(self, lr_scheduler: Any, step_mode: StepMode, frequency: int = 1) -> Any:
        """Have ``lr_scheduler`` saved in checkpoints and stepped as ``step_mode`` says, and return it.

        Raises:
            TrialError: Its optimizer is not wrapped, or it cannot be stepped that way.
        """
        wrapped = LRScheduler(lr_scheduler, step_mode, frequency)
        optimizer = getattr(lr_scheduler, "optimizer", None)
        if self._managed and optimizer is not None and not any(optimizer is mine for mine in self.optimizers):
            raise mistake(
                "wrap_lr_scheduler() comes after wrap_optimizer()",
                f"The optimizer of this {type(lr_scheduler).__name__} is not wrapped.",
                "Give the scheduler what context.wrap_optimizer() returned.",
            )
        if self._managed:
            self.lr_schedulers.append(wrapped)
        return lr_scheduler

    def wrap_scaler(self, scaler: Any) -> Any:
        """Have a ``GradScaler`` saved in checkpoints, and return it; the trial scales, or gives it to :meth:`step_optimizer`.

        Raises:
            TrialError: There is one already, or a model was wrapped before.
        """
        if self.scaler is not None:
            raise mistake("There is one scaler in a trial", "wrap_scaler() was called before, or use_amp().", "Leave one of them out.")
        if self.models:
            raise mistake("wrap_scaler() comes before wrap_model()", "A model is wrapped already.")
        if self._managed:
            self.scaler = scaler
        return scaler

    def configure_apex_amp(self, models: Any, optimizers: Any, enabled: bool = True, opt_level: str = "O1", **options: Any) -> Any:
        """Train in mixed precision, as the package ``apex`` did; return ``models`` and ``optimizers`` as they were given.

        torch's own mixed precision takes apex's place; ``options`` are apex's and do nothing. Without a GPU, for which apex was made,
        everything stays in full precision.

        Raises:
            TrialError: There is no such level, or there is a scaler already.
        """
        del options
        if enabled and opt_level not in _OPT_LEVELS:
            raise mistake(f"opt_level is one of {', '.join(_OPT_LEVELS)}", f"It is {opt_level!r}.")
        if enabled and opt_level != "O0" and self._managed:
            if self.device.type == "cpu":
                logger.warning("configure_apex_amp() is for GPUs; on the CPU the trial is trained in full precision.")
            elif not self.experimental.auto_amp:
                if self.scaler is not None:
                    raise mistake("Mixed precision is asked for once", "There is a scaler already.", "Leave one of the two out.")
                self.experimental.auto_amp = True
                self.scaler = make_scaler(self.device)
                for model in self.models:
                    autocast_forward(model, self.device)
        return models, optimizers

    def wrap_reducer(self, reducer: Any, name: str | None = None, for_training: bool = True, for_validation: bool = True) -> Any:
        """Have a metric reduced by ``reducer``, a :class:`MetricReducer` or a function of all updates; return what is to be updated.

        Its result is the metric ``name``; without a name it returns a dict of metrics.
        """
        return self.reducers.wrap(reducer, name, for_training, for_validation)

    def set_profiler(self, *args: Any, **kwargs: Any) -> None:
        """Profile the training: ``torch.profiler.profile`` with these arguments, stepped after every batch."""
        self._profiler = torch.profiler.profile(*args, **kwargs)

    def to_device(self, data: Any) -> Any:
        """Return ``data`` with every tensor in it on the device."""
        return to_device(data, self.device)

    def backward(
        self, loss: torch.Tensor, gradient: torch.Tensor | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradients of ``loss`` to those of the parameters."""
        if self.scaler is not None and self.experimental.auto_amp:
            loss = self.scaler.scale(loss)
        loss.backward(gradient=gradient, retain_graph=retain_graph, create_graph=create_graph)  # type: ignore[no-untyped-call]

    def step_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        clip_grads: Callable[[list[torch.nn.Parameter]], Any] | None = None,
        auto_zero_grads: bool = True,
        scaler: Any = None,
    ) -> None:
        """Update the parameters, unless gradients are still being gathered over several batches.

        ``clip_grads`` is called with the optimizer's parameters before the update, gradients are zeroed after it; with ``scaler`` that
        one makes the step.
        """
        if id(optimizer) in self._plain and clip_grads is None and scaler is None and self.scaler is None and self.batch_idx is not None:
            optimizer.step()  # what most trials do, in every batch
            if auto_zero_grads:
                zero_gradients(optimizer)
            return
        accumulation = self._accumulation.get(id(optimizer))
        if accumulation is None:
            raise _misuse("step_optimizer() got an optimizer that was not wrapped.", "Wrap it with context.wrap_optimizer() in __init__.")
        if self.batch_idx is None and self._managed:
            raise _misuse("step_optimizer() is for train_batch(), and no training has started.", "Do not call it in __init__.")
        if accumulation.frequency > 1:
            if not auto_zero_grads:
                raise _misuse("auto_zero_grads=False does not go together with aggregation_frequency > 1.", "Leave one of the two out.")
            if self.batch_idx is not None:  # else called by hand, without a training around it: there is one batch
                if not accumulation.is_complete(self.batch_idx):
                    return
                accumulation.finish(optimizer)
        if self.experimental.auto_amp and scaler is None:
            scaler = self.scaler
            if clip_grads is not None and scaler is not None:
                scaler.unscale_(optimizer)
        if clip_grads is not None:
            clip_grads(parameters_of(optimizer))
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            self._has_updated = True
        if auto_zero_grads:
            zero_gradients(optimizer)

    # --- what there was before 0.12.13 and until 0.13 ------------------------------------------------------------------------------

    def get_model(self) -> torch.nn.Module:
        """Return the only model."""
        return _only(self.models, "model")

    def get_optimizer(self) -> torch.optim.Optimizer:
        """Return the only optimizer."""
        return _only(self.optimizers, "optimizer")

    def get_lr_scheduler(self) -> LRScheduler | None:
        """Return the only scheduler, None if there is none."""
        return _only(self.lr_schedulers, "LR scheduler") if self.lr_schedulers else None

    def get_rank(self) -> int:
        """Return 0; ``context.distributed`` has it since 0.12.4."""
        return self.distributed.get_rank()

    def get_local_rank(self) -> int:
        """Return 0; ``context.distributed`` has it since 0.12.4."""
        return self.distributed.get_local_rank()

    def get_size(self) -> int:
        """Return 1; ``context.distributed`` has it since 0.12.4."""
        return self.distributed.get_size()

    # --- what is known ------------------------------------------------------------------------------------------------------------

    def get_experiment_config(self) -> dict[str, Any]:
        """Return the whole configuration.

        Raises:
            HyperparameterError: There is none; also a ``ValueError``.
        """
        if not self._knows_config:
            raise HyperparameterError("This context has no experiment config.", name="", hint="Give `exp_conf=…` to pytorch.init().")
        return self._config.raw

    def get_data_config(self) -> dict[str, Any]:
        """Return the configuration's ``data``, empty if there is none."""
        return self._config.data

    def get_hparams(self) -> dict[str, Any]:
        """Return all hyperparameters.

        Raises:
            HyperparameterError: None were given; also a ``ValueError``.
        """
        if not self._knows_hyperparameters:
            raise HyperparameterError("This context has no hyperparameters.", name="", hint="Give `hparams=…` to pytorch.init().")
        return self._config.hyperparameters

    def get_hparam(self, name: str) -> Any:
        """Return the hyperparameter ``name``.

        Raises:
            HyperparameterError: it is not there; also a ``ValueError``.
        """
        hparams = self.get_hparams()
        if name not in hparams:
            close = difflib.get_close_matches(name, hparams, n=1)
            there = ", ".join(sorted(hparams)) or "none"
            raise HyperparameterError(
                f"There is no hyperparameter {name!r}. There are: {there}.",
                name=name,
                available=sorted(hparams),
                hint=f"Did you mean {close[0]!r}?" if close else f"Add it {self._where_hyperparameters_are(name)}.",
            )
        if name == "global_batch_size":
            logger.warning("Use get_per_slot_batch_size() for the data loader: global_batch_size is the size over all GPUs.")
        return hparams[name]

    def get_global_batch_size(self) -> int:
        """Return the hyperparameter ``global_batch_size``."""
        hparams = self.get_hparams()
        size = hparams.get("global_batch_size")
        if type(size) is not int or size < 1:
            old_name = size is None and "batch_size" in hparams
            raise HyperparameterError(
                f"global_batch_size must be a whole number of at least 1, not {size!r}.",
                name="global_batch_size",
                available=sorted(hparams),
                hint="Rename batch_size, as it was called once."
                if old_name
                else "Set it under `hyperparameters:` in the YAML, or `--hparam global_batch_size=64`.",
            )
        return size

    def get_per_slot_batch_size(self) -> int:
        """Return how many records this process's batches hold."""
        return self.get_global_batch_size() // self.distributed.get_size()

    def get_trial_seed(self) -> int:
        """Return the seed of this trial.

        Raises:
            TrialError: It has none: ``pytorch.init()`` was given no experiment config with a seed.
        """
        if self._seed is None:
            raise _misuse("The trial seed is not set.", "Give pytorch.init() an `exp_conf` with `reproducibility.experiment_seed`.")
        return self._seed

    def get_experiment_id(self) -> int:
        """Return 1: an interactive session is no experiment of a cluster."""
        return 1

    def get_trial_id(self) -> int:
        """Return 1."""
        return 1

    def get_initial_batch(self) -> int:
        """Return how many batches the trial was trained on when its training started."""
        return self._initial_batch

    def get_stop_requested(self) -> bool:
        """Return whether the trial has asked for its training to end."""
        return self.stop_requested

    def set_stop_requested(self, stop_requested: bool) -> None:
        """End the training after the batch under way, with a checkpoint.

        Raises:
            AssertionError: It is given something other than a bool; so model definitions expect it.
        """
        if not isinstance(stop_requested, bool):
            raise AssertionError(f"set_stop_requested() takes True or False, not {stop_requested!r}.")
        self.stop_requested = stop_requested

    def get_tensorboard_path(self) -> Path:
        """Return the directory for this trial's TensorBoard files, which exists."""
        if self._tensorboard_path is None:
            self._tensorboard_path = new_directory()
        return self._tensorboard_path

    def get_tensorboard_writer(self) -> Any:
        """Return the trial's ``SummaryWriter``; once there is one, metrics that are numbers are written to it as well.

        Without the package ``tensorboard`` what is written is dropped, and a warning says so.
        """
        if self._writer is None:
            self._writer = make_writer(self.get_tensorboard_path())
        return self._writer

    def set_enable_tensorboard_logging(self, enable_tensorboard_logging: bool) -> None:
        """Say whether metrics are written to the trial's ``SummaryWriter``, too."""
        if not isinstance(enable_tensorboard_logging, bool):
            raise AssertionError(f"It takes True or False, not {enable_tensorboard_logging!r}.")
        self._logs_to_tensorboard = enable_tensorboard_logging

    def get_enable_tensorboard_logging(self) -> bool:
        """Return whether metrics are written to the trial's ``SummaryWriter``, too."""
        return self._logs_to_tensorboard

    def current_train_batch(self) -> int:
        """Return the index of the batch under way, or of the last one; from 0."""
        if self.batch_idx is None:
            raise _misuse("There is no current batch: no training has started.", "Call this in train_batch().")
        return self.batch_idx

    def current_train_epoch(self) -> int:
        """Return the index of the pass over the data under way; from 0."""
        return self.current_train_batch() // (self.batches_per_epoch or _NO_EPOCH)

    def is_epoch_start(self) -> bool:
        """Return whether the batch under way is the first of its epoch."""
        return self.current_train_batch() % (self.batches_per_epoch or _NO_EPOCH) == 0

    def is_epoch_end(self) -> bool:
        """Return whether the batch under way is the last of its epoch."""
        return (self.current_train_batch() + 1) % (self.batches_per_epoch or _NO_EPOCH) == 0

    # --- for the adapter ----------------------------------------------------------------------------------------------------------

    def begin_training(self, batches_trained: int) -> None:
        """Note where a training starts; called by the adapter."""
        self.stop_requested = False
        self._initial_batch = batches_trained

    def end_batch(self) -> None:
        """Step what is stepped after a batch: schedulers, the scaler of automatic mixed precision, the profiler.

        Called by the adapter where :attr:`steps_after_batches`.
        """
        batch_idx = self.batch_idx
        if self._has_updated:  # by any optimizer: they may gather over different numbers of batches, and none steps twice without this
            self._has_updated = False
            if self.experimental.auto_amp and self.scaler is not None:
                self.scaler.update()
        if self.lr_schedulers and batch_idx is not None and (batch_idx + 1) % self.aggregation == 0:
            advance_all(self.lr_schedulers, batch_idx, self.batches_per_epoch, self.aggregation)
        if self._profiler is not None:
            self._profiler.step()

    @property
    def steps_after_batches(self) -> bool:
        """Whether :meth:`end_batch` has anything to do in this trial."""
        return bool(self.lr_schedulers) or self.experimental.auto_amp or self._profiler is not None

    def begin_profiling(self) -> None:
        """Start the profiler, if the trial set one; called by the adapter."""
        if self._profiler is not None:
            self._profiler.start()

    def end(self) -> None:
        """Stop the profiler and close the TensorBoard files; called by the adapter."""
        if self._profiler is not None:
            self._profiler.stop()
            self._profiler = None
        if self._writer is not None:
            self._writer.close()

    @property
    def scalar_writer(self) -> Any:
        """Where metrics are written besides the history: the ``SummaryWriter``; None if the trial has none or wants none in it."""
        return self._writer if self._logs_to_tensorboard else None

    def _where_hyperparameters_are(self, name: str) -> str:
        if "pytorch.init()" in self._config.origins.values():
            return f"in `pytorch.init(hparams={{…, {name!r}: …}})`"
        return f"under `hyperparameters:` in the YAML, or `--hparam {name}=…`"

    def _optimization(self, name: str, default: Any) -> Any:
        optimizations = self._config.raw.get("optimizations")
        return optimizations.get(name, default) if isinstance(optimizations, Mapping) else default


def _misuse(message: str, hint: str) -> TrialError:
    return TrialError(message, exception="", user_traceback="", hint=hint)


def _only(things: Sequence[Thing], what: str) -> Thing:
    if len(things) != 1:
        raise _misuse(f"There are {len(things)} {what}s, not one.", f"Take them from `context.{what.lower().replace(' ', '_')}s`.")
    return things[0]
