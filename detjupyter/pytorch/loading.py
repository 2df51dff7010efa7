"""Loads PyTorch trials from checkpoints, for inference or inspection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.trial import Trial
from detjupyter.errors import CheckpointError, UntrustedCheckpointError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.layouts import read_state
from detjupyter.pytorch.checkpoints.own_attributes import OwnAttributes
from detjupyter.pytorch.checkpoints.training_state import begun_in
from detjupyter.pytorch.checkpoints.trial_state import OUR_KEY, load
from detjupyter.pytorch.constructor import construct
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.styles import is_callback_style, procedure_for
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.session.saved_trial import load_saved


class CheckpointLoadContext(PyTorchTrialContext):
    """A context for building a trial into which weights are loaded, without a training.

    Args:
        hparams: The hyperparameters for ``get_hparam``.
        exp_conf: The experiment config, as a dict.
        device: The device of the models; by default the best available one.
    """

    def __init__(
        self, hparams: Mapping[str, Any] | None = None, exp_conf: Mapping[str, Any] | None = None, *, device: str | None = None
    ) -> None:
        read = read_config({} if exp_conf is None else exp_conf, Path.cwd())
        values = read.hyperparameters if hparams is None else dict(hparams)
        super().__init__(
            replace(read, hyperparameters=values, origins=dict.fromkeys(map(str, values), "the checkpoint")),
            seed=read.settings.experiment_seed or 0,
            device=choose_device(device),
            knows_config=exp_conf is not None,
            knows_hyperparameters=hparams is not None or bool(values),
        )


def load_trial_from_checkpoint_path(
    path: str | Path,
    trial_class: type[PyTorchTrial] | None = None,
    trial_kwargs: Mapping[str, Any] | None = None,
    torch_load_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> PyTorchTrial | torch.nn.Module:
    """Return the trial in a checkpoint, with its weights. If its class defines ``build_model``, return the model instead.

    Args:
        path: The directory of the checkpoint.
        trial_class: The class of the trial, if the checkpoint does not contain the code.
        trial_kwargs: Further arguments of its constructor, besides the context.
        torch_load_kwargs: Only ``weights_only=False`` has an effect: the code in a checkpoint of another origin may then run, and objects
            of any class are unpickled; both can execute arbitrary code. ``map_location`` is ignored: the state is read to the host, and
            models are on the best available device.
        kwargs: The same as ``torch_load_kwargs``, in the form before Determined 0.24.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, needs ``weights_only=False`` or a class, or does not fit the class.
        DefinitionError: The code in the checkpoint defines no Trial class.
        TrialError: The trial's own code raised an exception.
    """
    options = {**kwargs, **(torch_load_kwargs or {})}
    trust = options.get("weights_only") is False
    try:
        trial, context = load_saved(Path(path), trial_class=trial_class, trial_kwargs=trial_kwargs, device=None, trust=trust)
    except UntrustedCheckpointError as error:
        hint = 'If you trust where it comes from, pass torch_load_kwargs={"weights_only": False}.'
        raise UntrustedCheckpointError(error.message, path=error.path, hint=hint) from None
    return cast("torch.nn.Module", context.models[0]) if is_callback_style(type(trial)) else cast("PyTorchTrial", trial)


def build_saved(
    trial_class: type[Trial],
    config: Config,
    directory: Path,
    *,
    device: str | None,
    trust: bool,
    trial_kwargs: Mapping[str, Any],
) -> tuple[PyTorchTrial, PyTorchTrialContext]:
    """Return a trial with the weights in ``directory``, and its context. Optimizers and random states are those of a new trial.

    The trial's attributes are those in the checkpoint, too: they can hold weights, such as those of a teacher.

    Raises:
        CheckpointError: The state cannot be read, needs trust, or does not fit the class.
        TrialUsageError: The class violates a rule of the API.
    """
    state = read_state(directory, trust=trust, owner=trial_class)
    chosen = choose_device(device)
    seed = config.settings.experiment_seed or 0
    # In separate random states: building the trial must not change what the kernel draws next.
    with RandomStream(RandomStates.seeded(seed, chosen), chosen).active():
        context = CheckpointLoadContext(config.hyperparameters, config.raw, device=str(chosen))
        trial = construct(trial_class, context, **trial_kwargs)
        if is_callback_style(type(trial)):
            procedure_for(trial, context, Callbacks(trial.build_callbacks())).set_up()
    attributes = OwnAttributes(trial, context, tuple)
    weights = {  # load() needs a complete state; only the models' part comes from the checkpoint
        "models_state_dict": state["models_state_dict"],
        "optimizers_state_dict": [optimizer.state_dict() for optimizer in context.optimizers],
        "lr_schedulers_state_dict": [scheduler.state_dict() for scheduler in context.lr_schedulers],
        "scaler_state_dict": None if context.scaler is None else context.scaler.state_dict(),
    }
    load(context, weights, str(directory))
    _restore_attributes(attributes, state[OUR_KEY], str(directory))
    return trial, context


def _restore_attributes(attributes: OwnAttributes, ours: Mapping[str, Any], path: str) -> None:
    if "attributes" not in ours:  # a checkpoint of Determined, or of an earlier version
        return
    try:
        attributes.restore(ours["attributes"], begun=begun_in(ours))
    except Exception as error:  # a damaged state can contain any object
        raise CheckpointError(f"The attributes in the checkpoint do not fit: {type(error).__name__}: {error}", path=path) from None
