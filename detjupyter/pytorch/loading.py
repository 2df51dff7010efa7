"""Loading PyTorch trials from checkpoints, for inference or to look into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from detjupyter.definition.config import Config, read_config
from detjupyter.definition.trial import Trial
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.layouts import read_state
from detjupyter.pytorch.checkpoints.trial_state import load
from detjupyter.pytorch.construction import construct
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.styles import is_callback_style, procedure_for
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.training.checkpoints.saved_trial import load_saved


class CheckpointLoadContext(PyTorchTrialContext):
    """A context good enough to build a trial with, so that weights can be loaded into it.

    Args:
        hparams: What ``get_hparam`` knows.
        exp_conf: The experiment config, as a dict.
        device: Where models go; by default the best device there is.
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
    """Return the trial in a checkpoint, with its weights; of one with ``build_model``, which holds no model, the model itself.

    Args:
        path: The directory of the checkpoint.
        trial_class: The class, where the code is not in the checkpoint.
        trial_kwargs: What its constructor takes besides the context.
        torch_load_kwargs: Of ``torch.load``'s arguments ``weights_only=False`` counts: objects of any class are unpickled then, which
            can run any code. States are read to the host and models stand on the best device, whatever ``map_location`` says.
        kwargs: The same, as before Determined 0.24.

    Raises:
        CheckpointError: It is missing, damaged, needs ``weights_only=False`` or a class, or does not fit the class.
        DefinitionError: The code in it does not lead to a Trial class.
        TrialError: The trial's own code raised.
    """
    options = {**kwargs, **(torch_load_kwargs or {})}
    trial, context = load_saved(
        Path(path),
        trial_class=trial_class,
        trial_kwargs=trial_kwargs,
        device=None,
        trust=options.get("weights_only") is False,
    )
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
    """Return a trial with the weights in ``directory``, and its context; optimizers and random states are those of a new trial.

    Raises:
        CheckpointError: The state cannot be read, needs trust, or does not fit the class.
        TrialError: The class breaks a rule.
    """
    state = read_state(directory, trust=trust)
    chosen = choose_device(device)
    seed = config.settings.experiment_seed or 0
    # Built in random states of its own: what a kernel draws does not depend on what it looks into.
    with RandomStream(RandomStates.seeded(seed, chosen), chosen).active():
        context = CheckpointLoadContext(config.hyperparameters, config.raw, device=str(chosen))
        trial = construct(trial_class, context, **trial_kwargs)
        if is_callback_style(type(trial)):
            procedure_for(trial, context, Callbacks(trial.build_callbacks())).set_up()
    weights = {
        "models_state_dict": state["models_state_dict"],
        "optimizers_state_dict": [optimizer.state_dict() for optimizer in context.optimizers],
        "lr_schedulers_state_dict": [scheduler.state_dict() for scheduler in context.lr_schedulers],
        "scaler_state_dict": None if context.scaler is None else context.scaler.state_dict(),
    }
    load(context, weights, str(directory))
    return trial, context
