"""The first argument of a PyTorch trial's constructor. The trial wraps its models, optimizers and schedulers with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch

from detjupyter.definition.config import Config, read_config
from detjupyter.engine.output import native_threads_belong_here
from detjupyter.errors import TrialUsageError
from detjupyter.framework.context import TrialContext
from detjupyter.pytorch.context.experimental import ExperimentalSwitches
from detjupyter.pytorch.context.legacy import LegacyNames
from detjupyter.pytorch.context.optimization import ClipGradients, Optimization
from detjupyter.pytorch.context.precision import Precision, require_opt_level
from detjupyter.pytorch.custom_reducers import CustomReducers
from detjupyter.pytorch.data.batches import to_device
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.gradients import zero_gradients
from detjupyter.pytorch.lr_scheduler import LRScheduler as WrappedScheduler
from detjupyter.pytorch.lr_scheduler import StepMode
from detjupyter.pytorch.tensorboard import make_writer


class PyTorchTrialContext(LegacyNames, TrialContext):
    """Wraps the models, optimizers and schedulers of a PyTorch trial, and gives the trial its hyperparameters and configuration.

    Args:
        config: The configuration, with the hyperparameters.
        seed: The trial's seed; None if none was given.
        device: The device of models and batches.
        managed: Whether a session trains the trial; otherwise ``wrap_*`` register nothing.
        knows_config: Whether there is a configuration; otherwise asking for it is an error.
        knows_hyperparameters: Whether there are hyperparameters; otherwise asking for one is an error.

    Attributes:
        device: The device of models and batches.
        models: The wrapped models, in the order of wrapping.
        optimizers: The wrapped optimizers, in the order of wrapping.
        lr_schedulers: The wrapped schedulers, in the order of wrapping, each with its step mode.
        reducers: The custom reducers.
        experimental: Switches that few trials need.
    """

    _how_to_give: ClassVar[dict[str, str]] = {
        "config": "Give `exp_conf=…` to pytorch.init().",
        "hyperparameters": "Give `hparams=…` to pytorch.init().",
        "seed": "Give pytorch.init() an `exp_conf` with `reproducibility.experiment_seed`.",
    }
    _not_offered: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            *("wrap_model_engine", "model_engines", "wrap_mpu", "set_mpu", "mpu", "use_pipeline_parallel"),
            *("get_train_micro_batch_size_per_gpu", "get_num_micro_batches_per_slot", "disable_auto_grad_accumulation"),
            *("hvd_config", "use_horovod"),
        ),
        "detjupyter trains in one process, without horovod or DeepSpeed",
    )

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
        super().__init__(config, seed=seed, knows_config=knows_config, knows_hyperparameters=knows_hyperparameters)
        self.device = device
        self.models: list[torch.nn.Module] = []
        self.optimizers: list[torch.optim.Optimizer] = []
        self.lr_schedulers: list[WrappedScheduler] = []
        self.reducers = CustomReducers()
        # On a GPU, torch runs the backward pass, and with it the trial's hooks, in its own threads. What they print belongs to the trial.
        self._backward_scope = native_threads_belong_here if device.type == "cuda" else nullcontext
        self._precision = Precision(device)
        self._optimization = Optimization(self._precision)
        self._plain = self._optimization.plain  # an alias for the fast path of step_optimizer: one lookup less a batch
        self.experimental = ExperimentalSwitches(self._precision, self.models, self.reducers)
        self._managed = managed
        self._profiler: Any = None
        self._writer: Any = None
        self._logs_to_tensorboard = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | Path) -> PyTorchTrialContext:
        """Return a context for a trial whose methods are called by hand, without a training.

        Ranges of hyperparameters are sampled with the config's ``reproducibility.experiment_seed``, 0 by default. ``wrap_*`` return their
        argument; ``wrap_model`` still moves the model to the best available device.

        Raises:
            ConfigError: The configuration cannot be read.
        """
        # Read twice: the seed that samples the ranges is in the config.
        read = read_config(config, Path.cwd(), None, 0)
        seed = read.settings.experiment_seed or 0
        return cls(read_config(config, Path.cwd(), None, seed), seed=seed, device=choose_device(None), managed=False)

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The scaler of losses in mixed precision; None in full precision."""
        return self._precision.scaler

    @scaler.setter
    def scaler(self, scaler: torch.amp.GradScaler | None) -> None:
        self._precision.scaler = scaler

    @property
    def aggregation(self) -> int:
        """The number of batches whose gradients one update accumulates; the largest among the optimizers."""
        return self._optimization.frequency

    # The objects to train.

    def wrap_model(self, model: torch.nn.Module) -> torch.nn.Module:
        """Move ``model`` to the device, register it for checkpoints, and return it."""
        model = model.to(self.device)
        if self._managed:
            self._precision.apply_to(model)
            self.models.append(model)
        return model

    def wrap_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        backward_passes_per_step: int = 1,
        fp16_compression: bool | None = None,
        average_aggregated_gradients: bool | None = None,
    ) -> torch.optim.Optimizer:
        """Register ``optimizer`` for checkpoints and for :meth:`step_optimizer`, and return it.

        Args:
            optimizer: An optimizer of the parameters of wrapped models.
            backward_passes_per_step: How many batches one update accumulates; multiplied by the config's
                ``optimizations.aggregation_frequency``.
            fp16_compression: Ignored; it affects only training in several processes.
            average_aggregated_gradients: Whether accumulated gradients are averaged instead of summed; the config's
                ``optimizations.average_aggregated_gradients`` by default.

        Raises:
            HyperparameterError: A number of batches is not a positive integer.
        """
        del fp16_compression
        average = average_aggregated_gradients
        frequency = self._optimization.add(
            optimizer,
            aggregation_frequency=self._option("aggregation_frequency", 1),
            passes_per_step=backward_passes_per_step,
            average=self._option("average_aggregated_gradients", True) if average is None else average,
        )
        if self._managed:
            self.optimizers.append(optimizer)
            self._optimization.frequency = max(self._optimization.frequency, frequency)
        return optimizer

    def wrap_lr_scheduler(self, lr_scheduler: Any, step_mode: StepMode, frequency: int = 1) -> Any:
        """Register ``lr_scheduler`` for checkpoints, to be stepped according to ``step_mode``, and return it.

        Args:
            lr_scheduler: A scheduler of a wrapped optimizer.
            step_mode: When to step it.
            frequency: Step at every ``frequency``-th epoch, batch or update.

        Raises:
            TrialUsageError: Its optimizer is not wrapped, or ``step_mode`` does not suit the scheduler.
        """
        wrapped = WrappedScheduler(lr_scheduler, step_mode, frequency)
        optimizer = getattr(lr_scheduler, "optimizer", None)
        if self._managed and optimizer is not None and not any(optimizer is mine for mine in self.optimizers):
            raise TrialUsageError(
                "wrap_optimizer() must be called before wrap_lr_scheduler().",
                f"The optimizer of this {type(lr_scheduler).__name__} is not wrapped.",
                "Create the scheduler with the optimizer that context.wrap_optimizer() returned.",
            )
        if self._managed:
            self.lr_schedulers.append(wrapped)
        return lr_scheduler

    def wrap_scaler(self, scaler: Any) -> Any:
        """Register a ``GradScaler`` for checkpoints, and return it.

        The trial scales its losses itself, and steps with the scaler or passes it to :meth:`step_optimizer`.

        Raises:
            TrialUsageError: There is a scaler already, or a model is wrapped already.
        """
        self._precision.use_scaler(scaler, self.models, managed=self._managed)
        return scaler

    def configure_apex_amp(self, models: Any, optimizers: Any, enabled: bool = True, opt_level: str = "O1", **options: Any) -> Any:
        """Train in mixed precision, as with the package ``apex``; return ``models`` and ``optimizers`` unchanged.

        Torch's automatic mixed precision replaces apex. ``options`` are apex's and are ignored. On the CPU, which apex did not support, the
        trial stays in full precision.

        Raises:
            TrialUsageError: ``opt_level`` is none of apex's, or there is a scaler already.
        """
        del options
        if enabled:
            require_opt_level(opt_level)
            if opt_level != "O0" and self._managed:
                self._precision.use_apex_level(opt_level, self.models)
        return models, optimizers

    def wrap_reducer(self, reducer: Any, name: str | None = None, for_training: bool = True, for_validation: bool = True) -> Any:
        """Register a custom reducer, and return the :class:`MetricReducer` that the trial updates in each batch.

        Args:
            reducer: A :class:`MetricReducer`, or a function from the list of all updates to the metric.
            name: The name of the metric; without a name, ``reducer`` must return a dict of metrics.
            for_training: Whether to reduce at the end of each reporting period.
            for_validation: Whether to reduce at the end of each validation.
        """
        return self.reducers.wrap(reducer, name, for_training, for_validation)

    def set_profiler(self, *args: Any, **kwargs: Any) -> None:
        """Profile the training with ``torch.profiler.profile`` and these arguments; the profiler is stepped after every batch."""
        self._profiler = torch.profiler.profile(*args, **kwargs)

    # In a batch.

    def to_device(self, data: Any) -> Any:
        """Return ``data`` with every tensor in it on the device."""
        return to_device(data, self.device)

    def backward(
        self, loss: torch.Tensor, gradient: torch.Tensor | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradients of ``loss`` to those of the parameters."""
        if self._precision.scaler is not None:
            loss = self._precision.scaled(loss)
        with self._backward_scope():
            loss.backward(gradient=gradient, retain_graph=retain_graph, create_graph=create_graph)  # type: ignore[no-untyped-call]

    def step_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        clip_grads: ClipGradients | None = None,
        auto_zero_grads: bool = True,
        scaler: Any = None,
    ) -> None:
        """Update the parameters, unless this batch only adds to gradients that are accumulated over several batches.

        Args:
            optimizer: A wrapped optimizer.
            clip_grads: Called with the optimizer's parameters before the update.
            auto_zero_grads: Whether to zero the gradients after the update.
            scaler: A ``GradScaler`` that steps the optimizer.

        Raises:
            TrialUsageError: The optimizer is not wrapped, no training has started, or ``auto_zero_grads`` is False while gradients are
                accumulated over several batches.
        """
        is_plain = id(optimizer) in self._plain and clip_grads is None and scaler is None and self._precision.scaler is None
        if is_plain and self.batch_idx is not None:  # fast path: most trials use none of the options, and this runs in every batch
            optimizer.step()
            if auto_zero_grads:
                zero_gradients(optimizer)
            return
        if self.batch_idx is None and self._managed and self._optimization.has(optimizer):
            raise TrialUsageError("step_optimizer() was called before the training started.", hint="Do not call it in __init__.")
        self._optimization.step(optimizer, self.batch_idx, clip_grads, auto_zero_grads=auto_zero_grads, scaler=scaler)

    # TensorBoard.

    def get_tensorboard_writer(self) -> Any:
        """Return the trial's ``SummaryWriter``. From the first call on, scalar metrics are also written to it.

        Without the package ``tensorboard``, there is a warning and the writer discards everything.
        """
        if self._writer is None:
            self._writer = make_writer(self.get_tensorboard_path())
        return self._writer

    def set_enable_tensorboard_logging(self, enable_tensorboard_logging: bool) -> None:
        """Choose whether metrics are also written to the trial's ``SummaryWriter``.

        Raises:
            AssertionError: The argument is not a bool. Determined raises this class, so definitions may catch it.
        """
        if not isinstance(enable_tensorboard_logging, bool):
            raise AssertionError(f"enable_tensorboard_logging must be True or False, got {enable_tensorboard_logging!r}.")
        self._logs_to_tensorboard = enable_tensorboard_logging

    def get_enable_tensorboard_logging(self) -> bool:
        """Return whether metrics are also written to the trial's ``SummaryWriter``."""
        return self._logs_to_tensorboard

    def _where_hyperparameters_are(self, name: str) -> str:
        if "pytorch.init()" in self._config.origins.values():
            return f"in `pytorch.init(hparams={{…, {name!r}: …}})`"
        return super()._where_hyperparameters_are(name)

    def _option(self, name: str, default: Any) -> Any:
        """Return one of the config's ``optimizations``."""
        optimizations = self._config.raw.get("optimizations")
        return optimizations.get(name, default) if isinstance(optimizations, Mapping) else default
