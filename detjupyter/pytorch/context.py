"""What a PyTorch trial gets to know of its surroundings, and through what it says what it trains."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from detjupyter.definition.config import Config
from detjupyter.errors import HyperparameterError, TrialError
from detjupyter.pytorch.batches import to_device

logger = logging.getLogger("detjupyter")


class PyTorchTrialContext:
    """The first argument of a PyTorch trial's constructor.

    Attributes:
        device: Where models and batches live.
        models: The wrapped models, in order.
        optimizers: The wrapped optimizers, in order.
        experimental: Switches that few need.
    """

    def __init__(self, config: Config, *, seed: int, device: torch.device) -> None:
        self.device = device
        self.models: list[torch.nn.Module] = []
        self.optimizers: list[torch.optim.Optimizer] = []
        self.experimental = ExperimentalSwitches()
        self.distributed = SingleProcess()
        self._config = config
        self._seed = seed
        self._accumulation: dict[int, _Accumulation] = {}
        self._batch_idx: int | None = None
        self._batches_per_epoch: int | None = None

    # --- what is trained ----------------------------------------------------------------------------------------------------------

    def wrap_model(self, model: torch.nn.Module) -> torch.nn.Module:
        """Move ``model`` to the device, have it saved in checkpoints, and return it."""
        model = model.to(self.device)
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
        self.optimizers.append(optimizer)
        self._accumulation[id(optimizer)] = _Accumulation(frequency * backward_passes_per_step, average)
        return optimizer

    def to_device(self, data: Any) -> Any:
        """Return ``data`` with every tensor in it on the device."""
        return to_device(data, self.device)

    def backward(
        self, loss: torch.Tensor, gradient: torch.Tensor | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add the gradients of ``loss`` to those of the parameters."""
        loss.backward(gradient=gradient, retain_graph=retain_graph, create_graph=create_graph)  # type: ignore[no-untyped-call]

    def step_optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        clip_grads: Callable[[list[torch.nn.Parameter]], Any] | None = None,
        auto_zero_grads: bool = True,
    ) -> None:
        """Update the parameters, unless gradients are still being gathered over several batches.

        ``clip_grads`` is called with the optimizer's parameters before the update; gradients are zeroed after it.
        """
        accumulation = self._accumulation.get(id(optimizer))
        if accumulation is None:
            raise _misuse("step_optimizer() got an optimizer that was not wrapped.", "Wrap it with context.wrap_optimizer() in __init__.")
        if self._batch_idx is None:
            raise _misuse("step_optimizer() is for train_batch(), and no training has started.", "Do not call it in __init__.")
        if accumulation.frequency > 1:
            if not auto_zero_grads:
                raise _misuse("auto_zero_grads=False does not go together with aggregation_frequency > 1.", "Leave one of the two out.")
            if (self._batch_idx + 1) % accumulation.frequency:
                return
            if accumulation.average:
                for parameter in _parameters(optimizer):
                    if parameter.grad is not None:
                        parameter.grad.div_(accumulation.frequency)
        if clip_grads is not None:
            clip_grads(_parameters(optimizer))
        optimizer.step()
        if auto_zero_grads:
            optimizer.zero_grad()

    # --- what is known ------------------------------------------------------------------------------------------------------------

    def get_experiment_config(self) -> dict[str, Any]:
        """Return the whole configuration."""
        return self._config.raw

    def get_data_config(self) -> dict[str, Any]:
        """Return the configuration's ``data``, empty if there is none."""
        return self._config.data

    def get_hparams(self) -> dict[str, Any]:
        """Return all hyperparameters."""
        return self._config.hyperparameters

    def get_hparam(self, name: str) -> Any:
        """Return the hyperparameter ``name``.

        Raises:
            HyperparameterError: it is not there; also a ``ValueError``.
        """
        hparams = self._config.hyperparameters
        if name not in hparams:
            close = difflib.get_close_matches(name, hparams, n=1)
            there = ", ".join(sorted(hparams)) or "none"
            raise HyperparameterError(
                f"There is no hyperparameter {name!r}. There are: {there}.",
                name=name,
                available=sorted(hparams),
                hint=f"Did you mean {close[0]!r}?" if close else f"Add it under `hyperparameters:` in the YAML, or `--hparam {name}=…`.",
            )
        if name == "global_batch_size":
            logger.warning("Use get_per_slot_batch_size() for the data loader: global_batch_size is the size over all GPUs.")
        return hparams[name]

    def get_global_batch_size(self) -> int:
        """Return the hyperparameter ``global_batch_size``."""
        size = self.get_hparams().get("global_batch_size")
        if type(size) is not int:
            raise HyperparameterError(
                f"global_batch_size must be a whole number, not {size!r}.",
                name="global_batch_size",
                available=sorted(self.get_hparams()),
                hint="Set it under `hyperparameters:` in the YAML, or `--hparam global_batch_size=64`.",
            )
        return size

    def get_per_slot_batch_size(self) -> int:
        """Return how many records this process's batches hold."""
        return self.get_global_batch_size() // self.distributed.get_size()

    def get_trial_seed(self) -> int:
        """Return the seed of this trial."""
        return self._seed

    def current_train_batch(self) -> int:
        """Return the index of the batch under way, or of the last one; from 0."""
        if self._batch_idx is None:
            raise _misuse("There is no current batch: no training has started.", "Call this in train_batch().")
        return self._batch_idx

    def current_train_epoch(self) -> int:
        """Return the index of the pass over the data under way; from 0."""
        return self.current_train_batch() // (self._batches_per_epoch or 2**62)

    def is_epoch_start(self) -> bool:
        """Return whether the batch under way is the first of its epoch."""
        return self.current_train_batch() % (self._batches_per_epoch or 2**62) == 0

    def is_epoch_end(self) -> bool:
        """Return whether the batch under way is the last of its epoch."""
        return (self.current_train_batch() + 1) % (self._batches_per_epoch or 2**62) == 0

    # --- for the adapter ----------------------------------------------------------------------------------------------------------

    def begin_batch(self, batch_idx: int, batches_per_epoch: int | None) -> None:
        """Note which batch is under way; called by the adapter."""
        self._batch_idx = batch_idx
        self._batches_per_epoch = batches_per_epoch

    def _optimization(self, name: str, default: Any) -> Any:
        optimizations = self._config.raw.get("optimizations")
        return optimizations.get(name, default) if isinstance(optimizations, Mapping) else default


class _Accumulation:
    """Over how many batches an optimizer gathers gradients, and whether it averages them."""

    __slots__ = ("average", "frequency")

    def __init__(self, frequency: int, average: bool) -> None:
        self.frequency = frequency
        self.average = average


class ExperimentalSwitches:
    """What ``context.experimental`` offers."""

    def __init__(self) -> None:
        self.reproducibility_checks = True
        self.auto_to_device = True

    def disable_dataset_reproducibility_checks(self) -> None:
        """Allow loaders other than detjupyter.pytorch.DataLoader; they cannot resume in the middle of an epoch."""
        self.reproducibility_checks = False

    def disable_auto_to_device(self) -> None:
        """Hand batches to train_batch and evaluate_batch as the loader made them."""
        self.auto_to_device = False


class SingleProcess:
    """What ``context.distributed`` says when one process trains alone."""

    rank = local_rank = cross_rank = 0
    size = local_size = num_agents = 1

    def get_rank(self) -> int:
        """Return 0."""
        return 0

    def get_local_rank(self) -> int:
        """Return 0."""
        return 0

    def get_size(self) -> int:
        """Return 1."""
        return 1

    def get_num_agents(self) -> int:
        """Return 1."""
        return 1


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _misuse(message: str, hint: str) -> TrialError:
    return TrialError(message, exception="", user_traceback="", hint=hint)
