"""Trying a trial out: ``determined.experimental.test_one_batch`` and ``create_trial_instance``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detjupyter.pytorch import PyTorchTrial, PyTorchTrialContext, Trainer, init


def create_trial_instance(
    trial_def: type[PyTorchTrial],
    checkpoint_dir: Any = None,
    config: Mapping[str, Any] | None = None,
    hparams: Mapping[str, Any] | None = None,
) -> PyTorchTrial:
    """Return a trial to call the methods of by hand, without any training around it; its weights are new.

    Args:
        trial_def: Its class.
        checkpoint_dir: Does nothing; see ``load_trial_from_checkpoint_path``.
        config: The experiment config; ranges of hyperparameters are sampled.
        hparams: Hyperparameters in place of the config's.
    """
    del checkpoint_dir
    given = dict(config or {})
    return trial_def(PyTorchTrialContext.from_config(given if hparams is None else {**given, "hyperparameters": dict(hparams)}))


def train_one_batch(trial_class: type[PyTorchTrial] | None = None, config: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Train a trial on one batch, validate it and save a checkpoint; ranges of hyperparameters are sampled.

    Raises:
        TypeError: There is no class.
        TrialError: The trial's code raised.
    """
    if trial_class is None:
        raise TypeError("test_one_batch() needs trial_class.")
    with init(exp_conf=dict(config or {})) as context:
        Trainer(trial_class(context), context).fit(test_mode=True)
