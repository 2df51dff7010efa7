"""The part of a trial's context that all frameworks share: configuration, hyperparameters, progress, and the request to stop."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from detjupyter.definition.config import Config
from detjupyter.definition.config.keys import Settings
from detjupyter.definition.suggestions import listing
from detjupyter.errors import ArgumentError, HyperparameterError, TrialUsageError
from detjupyter.framework.single_process import SingleProcess
from detjupyter.framework.tensorboard import new_directory
from detjupyter.framework.warning import warn
from detjupyter.next_step import NextStep

_NO_EPOCH = 2**62  # longer than any training, so that all of it is epoch 0, which does not end
_OF_THE_TRAINING = ("stop_requested", "batch_idx", "batches_per_epoch", "initial_batch")
_WARNINGS_SHOWN = 2  # in a hint
_MIN_SIMILARITY = 0.75  # high enough that `models` is not suggested for `Model`


class TrialContext:
    """The first argument of a trial's constructor. Each framework derives its own class from it.

    Args:
        config: The configuration, with the hyperparameters.
        seed: The trial's seed; None if none was given.
        knows_config: Whether there is a configuration; a script may have none, and then asking for it is an error.
        knows_hyperparameters: Whether there are hyperparameters; otherwise asking for one is an error.

    Attributes:
        distributed: The world of one process.
        stop_requested: Whether the trial has asked to end its training. The adapter sets it to False when a training begins.
        batch_idx: The index of the current or the last batch, from 0; None before the first. Set by the adapter.
        batches_per_epoch: The length of the training data in batches, None if it is unknown. Set by the adapter.
        initial_batch: How many batches the trial was trained on when its training started. Set by the adapter.

    Thread: one at a time, like the trial.
    """

    #: How the user can provide something that the trial asks for; frameworks override this with their own way.
    _how_to_give: ClassVar[dict[str, str]] = {
        "config": "Give the experiment config where the context is made.",
        "hyperparameters": "Give the hyperparameters where the context is made.",
        "seed": "Set `reproducibility.experiment_seed` in the experiment config.",
    }
    #: Attributes that the context lacks on purpose, with the reason as a clause.
    _not_offered: ClassVar[dict[str, str]] = {}

    def __init__(self, config: Config, *, seed: int | None, knows_config: bool = True, knows_hyperparameters: bool = True) -> None:
        self.distributed = SingleProcess()
        self.stop_requested = False
        self.batch_idx: int | None = None
        self.batches_per_epoch: int | None = None
        self.initial_batch = 0
        self._config = config
        self._seed = seed
        self._knows_config = knows_config
        self._knows_hyperparameters = knows_hyperparameters
        self._tensorboard_path: Path | None = None

    def __getattr__(self, name: str) -> Any:
        """Raise an AttributeError for a missing attribute, with the most similar name as a suggestion."""
        known = [attribute for attribute in (*dir(type(self)), *vars(self)) if not attribute.startswith("_")]
        close = difflib.get_close_matches(name, known, n=1, cutoff=_MIN_SIMILARITY)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        reason = f"; {self._not_offered[name]}" if name in self._not_offered else ""
        # Without `name` and `obj`: Python would add a second suggestion, and the error would keep the context alive.
        raise AttributeError(f"{type(self).__name__} has no {name!r}{reason}.{suggestion}")

    @property
    def config(self) -> Config:
        """The configuration, for detjupyter itself; trials call :meth:`get_experiment_config`."""
        return self._config

    @property
    def settings(self) -> Settings:
        """The options of the configuration besides hyperparameters."""
        return self._config.settings

    @property
    def _epoch_len(self) -> int | None:  # private in Determined, too, but definitions read it for their schedules
        return self.batches_per_epoch

    @property
    def _current_batch_idx(self) -> int | None:  # private in Determined, too, but definitions read it in evaluate_full_dataset
        return self.batch_idx

    # Configuration and hyperparameters.

    def get_experiment_config(self) -> dict[str, Any]:
        """Return the whole configuration.

        Raises:
            ArgumentError: The context has no configuration. Also a ``ValueError``.
        """
        if not self._knows_config:
            raise ArgumentError("This context has no experiment config.", hint=self._how_to_give["config"])
        return self._config.raw

    def get_data_config(self) -> dict[str, Any]:
        """Return the configuration's ``data``, empty if there is none."""
        return self._config.data

    def get_hparams(self) -> dict[str, Any]:
        """Return all hyperparameters.

        Raises:
            ArgumentError: The context has no hyperparameters. Also a ``ValueError``.
        """
        if not self._knows_hyperparameters:
            raise ArgumentError("This context has no hyperparameters.", hint=self._how_to_give["hyperparameters"])
        return self._config.hyperparameters

    def get_hparam(self, name: str) -> Any:
        """Return the hyperparameter ``name``.

        Raises:
            HyperparameterError: There is no such hyperparameter. Also a ``ValueError``.
            ArgumentError: The context has no hyperparameters. Also a ``ValueError``.
        """
        hparams = self.get_hparams()
        if name not in hparams:
            close = difflib.get_close_matches(name, hparams, n=1)
            available = ", ".join(sorted(hparams)) or "none"
            raise HyperparameterError(
                f"There is no hyperparameter {name!r}. Available: {available}.",
                name=name,
                available=sorted(hparams),
                hint=f"Did you mean {close[0]!r}?" if close else self._how_to_add(name),
            )
        if name == "global_batch_size":
            warn("Use get_per_slot_batch_size() for the data loader: global_batch_size is the total over all GPUs.")
        return hparams[name]

    def get_global_batch_size(self) -> int:
        """Return the hyperparameter ``global_batch_size``.

        Raises:
            HyperparameterError: It is not a positive integer. Also a ``ValueError``.
            ArgumentError: The context has no hyperparameters. Also a ``ValueError``.
        """
        return read_batch_size(self.get_hparams(), self._how_to_add("global_batch_size"))

    def get_per_slot_batch_size(self) -> int:
        """Return the batch size of this process, in records."""
        return self.get_global_batch_size() // self.distributed.get_size()

    def get_trial_seed(self) -> int:
        """Return the seed of this trial.

        Raises:
            TrialUsageError: The trial has no seed.
        """
        if self._seed is None:
            raise TrialUsageError("The trial seed is not set.", hint=self._how_to_give["seed"])
        return self._seed

    def get_experiment_id(self) -> int:
        """Return 1: an interactive session is not an experiment of a cluster."""
        return 1

    def get_trial_id(self) -> int:
        """Return 1."""
        return 1

    def get_tensorboard_path(self) -> Path:
        """Return the directory for this trial's TensorBoard files. The first call creates it."""
        if self._tensorboard_path is None:
            self._tensorboard_path = new_directory()
        return self._tensorboard_path

    # Progress.

    def get_initial_batch(self) -> int:
        """Return how many batches the trial was trained on when its training started."""
        return self.initial_batch

    def current_train_batch(self) -> int:
        """Return the index of the current or the last batch, from 0 over the whole training.

        Raises:
            TrialUsageError: No training has started.
        """
        if self.batch_idx is None:
            raise TrialUsageError("There is no current batch: no training has started.", hint="Call this in train_batch().")
        return self.batch_idx

    def current_train_epoch(self) -> int:
        """Return the index of the current epoch, from 0; 0 if the length of an epoch is unknown."""
        return self.current_train_batch() // (self.batches_per_epoch or _NO_EPOCH)

    def is_epoch_start(self) -> bool:
        """Return whether the current batch is the first of its epoch."""
        return self.current_train_batch() % (self.batches_per_epoch or _NO_EPOCH) == 0

    def is_epoch_end(self) -> bool:
        """Return whether the current batch is the last of its epoch."""
        return (self.current_train_batch() + 1) % (self.batches_per_epoch or _NO_EPOCH) == 0

    # The request to stop.

    def get_stop_requested(self) -> bool:
        """Return whether the trial has asked to end its training."""
        return self.stop_requested

    def set_stop_requested(self, stop_requested: bool) -> None:
        """Ask to end the training after the current batch, with a checkpoint; False withdraws the request.

        Raises:
            AssertionError: The argument is not a bool. Determined raises this class, so definitions may catch it.
        """
        if not isinstance(stop_requested, bool):
            raise AssertionError(f"stop_requested must be True or False, got {stop_requested!r}.")
        self.stop_requested = stop_requested

    def _how_to_add(self, name: str) -> str:
        """Return how the user can set a hyperparameter."""
        unread = self._config.unread
        if self._config.problem:
            return f"{self._config.problem} Correct it, or load with {NextStep.HYPERPARAMETER(name, '…')}."
        if unread and self._config.path is None:
            return f"No config was read, but {listing(unread)} may be one: load with {NextStep.CONFIG(unread[0])}."
        # The card, which shows the warnings, is not reached.
        return " ".join((f"Set it {self._where_hyperparameters_are(name)}.", *self._config.warnings[:_WARNINGS_SHOWN]))

    def _where_hyperparameters_are(self, name: str) -> str:
        return f"under `hyperparameters:` in the YAML, or load with {NextStep.HYPERPARAMETER(name, '…')}"


def read_batch_size(hparams: Mapping[str, Any], hint: str) -> int:
    """Return the hyperparameter ``global_batch_size``; ``hint`` is how to set it.

    Raises:
        HyperparameterError: It is not a positive integer. Also a ``ValueError``.
    """
    size = hparams.get("global_batch_size")
    if type(size) is int and size >= 1:
        return size
    if size is None and "batch_size" in hparams:
        hint = "Rename batch_size to global_batch_size."
    raise HyperparameterError(
        f"global_batch_size must be a positive integer, got {size!r}.", name="global_batch_size", available=sorted(hparams), hint=hint
    )


def continue_training(context: TrialContext, other: TrialContext) -> None:
    """Copy the progress of a training from ``other``, for :meth:`~detjupyter.framework.adapter.TrialAdapter.adopt`."""
    for name in _OF_THE_TRAINING:
        setattr(context, name, getattr(other, name))
