"""``pytorch.init`` and ``Trainer``: training a trial that a script, or a cell, builds itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from detjupyter.definition.config import read_config
from detjupyter.errors import SessionError
from detjupyter.pytorch.adapter import adapt
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.training.interactive import open_session
from detjupyter.training.plan import Batch, CheckpointPolicy, Epoch, TrainingOptions
from detjupyter.training.registry import registry
from detjupyter.training.session import Session

logger = logging.getLogger("detjupyter")

_POLICIES = ("best", "all", "none")


@contextmanager
def init(
    *,
    hparams: Mapping[str, Any] | None = None,
    exp_conf: Mapping[str, Any] | None = None,
    distributed: Any = None,
    aggregation_frequency: int = 1,
    enable_tensorboard_logging: bool = True,
) -> Iterator[PyTorchTrialContext]:
    """Give a context to build a trial with, for :class:`Trainer`.

    Nothing is seeded: the trial draws what your own seeds give.

    Args:
        hparams: What ``context.get_hparam`` knows.
        exp_conf: An experiment config, as a dict; its hyperparameters count where ``hparams`` is not given.
        distributed: For training in several processes; only a world of one is known here.
        aggregation_frequency: Over how many batches gradients are gathered for one update.
        enable_tensorboard_logging: Whether metrics go to the ``SummaryWriter`` of the trial, too, if it makes one.
    """
    if distributed is not None and getattr(distributed, "size", 1) > 1:
        raise SessionError(f"A kernel trains in one process, not in {distributed.size}.", hint="Leave `distributed` out.")
    read = read_config({} if exp_conf is None else exp_conf, Path.cwd(), None, 0)
    raw = {**read.raw, "optimizations": {**(read.raw.get("optimizations") or {}), "aggregation_frequency": aggregation_frequency}}
    values = read.hyperparameters if hparams is None else dict(hparams)
    origins = read.origins if hparams is None else dict.fromkeys(values, "pytorch.init()")
    context = PyTorchTrialContext(
        replace(read, raw=raw, hyperparameters=values, origins=origins),
        seed=read.settings.experiment_seed,
        device=choose_device(None),
        knows_config=exp_conf is not None,
        knows_hyperparameters=hparams is not None or bool(values),
    )
    context.set_enable_tensorboard_logging(enable_tensorboard_logging)
    yield context


class Trainer:
    """Trains a trial to the end of :meth:`fit`, as a session: a run is kept, and a notebook shows it live.

    Args:
        trial: Built with ``context``; its class may take more arguments.
        context: What :func:`init` gave.
    """

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext) -> None:
        self._trial = trial
        self._context = context
        self._session: Session | None = None

    @property
    def session(self) -> Session | None:
        """The session, None before the first :meth:`fit`."""
        return self._session

    def configure_profiler(self, **_: Any) -> None:
        """Do nothing, as since Determined 0.38; ``context.set_profiler`` profiles."""
        logger.warning("configure_profiler() does nothing; use context.set_profiler(…) in the trial.")

    def fit(
        self,
        checkpoint_period: Batch | Epoch | int | None = None,
        validation_period: Batch | Epoch | int | None = None,
        max_length: Batch | Epoch | int | None = None,
        reporting_period: Batch | Epoch | int = Batch(100),  # noqa: B008 -- frozen
        checkpoint_policy: CheckpointPolicy = "best",
        latest_checkpoint: str | Path | None = None,
        step_zero_validation: bool = False,
        test_mode: bool = False,
        profiling_enabled: bool = False,
    ) -> None:
        """Train until ``max_length`` is reached in total, then validate and save a checkpoint; return then.

        An interrupt pauses the training; ``%det_resume`` goes on with it.

        Args:
            checkpoint_period: When to save a checkpoint on the way: every so many batches or epochs, or at those in a container.
            validation_period: When to validate on the way.
            max_length: How long, as ``Batch(n)`` or ``Epoch(n)``; the config's ``searcher.max_length`` if it is not given.
            reporting_period: When a stretch ends for callbacks and custom reducers.
            checkpoint_policy: Which validations are followed by a checkpoint: ``best``, ``all`` or ``none``.
            latest_checkpoint: A checkpoint to go on from: its directory, or its id. The place in the data is restored, too.
            step_zero_validation: Whether to validate before the first batch.
            test_mode: Train on one batch, validate on it all, save a checkpoint.
            profiling_enabled: Does nothing here.

        Raises:
            ValueError, TypeError: An argument makes no sense.
            TrialError: The trial's code raised.
        """
        del profiling_enabled
        settings = self._context.settings
        if test_mode:
            max_length = Batch(1)
        elif max_length is None:
            if settings.searcher_length is None:
                raise ValueError("fit() needs max_length, as Batch(n) or Epoch(n).")
        elif not isinstance(max_length, (Batch, Epoch)) or not isinstance(max_length.value, int):
            raise TypeError(f"max_length is Batch(n) or Epoch(n) with a whole number n, not {max_length!r}.")
        if checkpoint_policy not in _POLICIES:
            raise ValueError(f"checkpoint_policy is one of {', '.join(_POLICIES)}, not {checkpoint_policy!r}.")
        for name, period in (("checkpoint_period", checkpoint_period), ("validation_period", validation_period)):
            if period is not None and not isinstance(period, (int, Batch, Epoch)):
                raise TypeError(f"{name} is Batch(…) or Epoch(…) with a number or a container of numbers, not {period!r}.")
        options = TrainingOptions(
            length=max_length,
            in_total=True,
            validate_every=_at_least_one(validation_period),
            checkpoint_every=_at_least_one(checkpoint_period),
            report_every=_at_least_one(reporting_period),
            checkpoint_policy=checkpoint_policy,
            initial_validation=step_zero_validation,
            ends_if_reached=True,
            validates_each_epoch=False,
        )
        if max_length is None:
            options = replace(options, length=None).with_defaults(settings)
        session = self._open()
        if latest_checkpoint is not None:
            session.restore(latest_checkpoint)
        registry.show(session)
        session.train_as(options, wait=True)

    def _open(self) -> Session:
        """Return the session; the first time it is made, and goes on drawing where the caller's code is."""
        if self._session is None:
            context = self._context
            states = RandomStates.now(context.device)
            seed = context.settings.experiment_seed
            if seed is None:
                seed = int(torch.randint(2**31, (), generator=_beside(states)))
            adapter = adapt(self._trial, context, RandomStream(states, context.device), seed)
            self._session = open_session(adapter, context.config, seed)
        return self._session


def _at_least_one(period: Batch | Epoch | int | None) -> Batch | Epoch | int | None:
    """Return a period; a number less than one means always."""
    if isinstance(period, (Batch, Epoch)):
        return type(period)(1) if isinstance(period.value, int) and period.value < 1 else period
    return max(period, 1) if isinstance(period, int) else period


def _beside(states: RandomStates) -> torch.Generator:
    """Return a generator that stands where torch's own does, so that what the user seeded decides, and nothing is drawn from it."""
    generator = torch.Generator()
    generator.set_state(states.on_host)
    return generator
