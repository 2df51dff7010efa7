"""``pytorch.init`` and ``Trainer``: training a trial that a script, or a cell, builds itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
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

Period = Batch | Epoch | int | None

logger = logging.getLogger("detjupyter")

_POLICIES = ("best", "all", "none")
_LOOK_AGAIN_S = 0.1


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

    Raises:
        SessionError: ``distributed`` is of several processes.
        ConfigError: ``exp_conf`` makes no sense.
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

    Raises:
        TypeError: One of the two is of another kind, for example of an installed ``determined``.
    """

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext) -> None:
        for name, value, kind in (("trial", trial, PyTorchTrial), ("context", context, PyTorchTrialContext)):
            if not isinstance(value, kind):
                found = f"{type(value).__module__}.{type(value).__qualname__}"
                raise TypeError(f"Trainer: {name} is a {kind.__name__} of detjupyter.pytorch, not {found}.")
        self._trial = trial
        self._context = context
        self._session: Session | None = None

    @property
    def session(self) -> Session | None:
        """The session, None before the first :meth:`fit`."""
        return self._session

    def configure_profiler(self, *_: Any, **__: Any) -> None:
        """Do nothing, as since Determined 0.38; ``context.set_profiler`` profiles."""
        logger.warning("configure_profiler() does nothing; use context.set_profiler(…) in the trial.")

    def fit(
        self,
        checkpoint_period: Period = None,
        validation_period: Period = None,
        max_length: Batch | Epoch | None = None,
        reporting_period: Batch | Epoch | int = Batch(100),  # noqa: B008 -- frozen
        checkpoint_policy: CheckpointPolicy = "best",
        latest_checkpoint: str | Path | None = None,
        step_zero_validation: bool = False,
        test_mode: bool = False,
        profiling_enabled: bool = False,
        *,
        trust: bool = False,
    ) -> None:
        """Train until ``max_length`` is reached in total, then validate and save a checkpoint; return then.

        Meanwhile it can be paused and stopped where it is shown. While it is paused, this waits; an interrupt ends the waiting, with the
        training paused: ``%det_resume`` goes on with it. It returns when it is stopped.

        Args:
            checkpoint_period: When to save a checkpoint on the way: every so many batches or epochs, or at those in a container.
            validation_period: When to validate on the way.
            max_length: How long, as ``Batch(n)`` or ``Epoch(n)``; the config's ``searcher.max_length`` if it is not given.
            reporting_period: When a stretch ends for callbacks and custom reducers.
            checkpoint_policy: Which validations are followed by a checkpoint: ``best``, ``all`` or ``none``.
            latest_checkpoint: A checkpoint to go on from: its directory, or its id. The place in the data is restored, too.
            step_zero_validation: Whether to validate before the first batch.
            test_mode: Train on one batch, validate, save a checkpoint.
            profiling_enabled: Does nothing here.
            trust: Whether ``latest_checkpoint`` may hold objects of any class, as some of Determined's do. Reading those can run any code.

        Raises:
            ValueError: A number or a policy makes no sense, or nothing says how long to train.
            TypeError: A length or a period is of another type.
            CheckpointError: ``latest_checkpoint`` is missing, damaged, of another class, or needs ``trust``.
            SessionBusyError: An earlier training of this trial is paused.
            TrialError: The trial's code raised.
        """
        if profiling_enabled:
            logger.warning("profiling_enabled does nothing here; use context.set_profiler(…) in the trial.")
        asked = TrainingOptions(
            length=Batch(1) if test_mode else _length(max_length),
            in_total=not test_mode,
            validate_every=_period("validation_period", validation_period),
            checkpoint_every=_period("checkpoint_period", checkpoint_period),
            report_every=_period("reporting_period", reporting_period),
            checkpoint_policy=checkpoint_policy,
            keeps_checkpoints=checkpoint_period is not None,
            initial_validation=step_zero_validation,
            ends_if_reached=True,
            validates_each_epoch=False,
        )
        if checkpoint_policy not in _POLICIES:
            raise ValueError(f"checkpoint_policy is one of {', '.join(_POLICIES)}, not {checkpoint_policy!r}.")
        options = self._with_length(asked)
        session = self._open()
        if latest_checkpoint is not None:
            session.restore(latest_checkpoint, trust=trust)
        registry.show(session)
        before = session.batches_trained
        session.train_as(options)
        _wait(session)
        _tell(session, before)

    def _with_length(self, asked: TrainingOptions) -> TrainingOptions:
        """Return the options with the configuration's length where none was given."""
        if asked.length is not None:
            return asked
        settings = self._context.settings
        if settings.searcher_length is None:
            raise ValueError("fit() needs max_length, as Batch(n) or Epoch(n).")
        return replace(asked, length=asked.with_defaults(settings).length)

    def _open(self) -> Session:
        """Return the session; the first time it is made, and goes on drawing where the caller's code is."""
        if self._session is None:
            context = self._context
            states = RandomStates.now(context.device)
            seed = context.settings.experiment_seed
            if seed is None:
                seed = int(torch.randint(2**31, (), generator=_beside(states)))
            adapter = adapt(self._trial, context, RandomStream(states, context.device), seed)
            self._session = open_session(adapter, context.config, seed, self)
        return self._session


def _length(max_length: Batch | Epoch | None) -> Batch | Epoch | None:
    """Return how long to train, None if only the configuration may say it."""
    if max_length is None:
        return None
    if not isinstance(max_length, (Batch, Epoch)) or type(max_length.value) is not int:
        raise TypeError(f"max_length is Batch(n) or Epoch(n) with a whole number n, not {max_length!r}.")
    if max_length.value < 1:
        raise ValueError(f"max_length is at least 1 long, not {max_length!r}.")
    return max_length


def _period(name: str, period: Period) -> Period:
    """Return a period; a number less than one means always."""
    if period is None:
        return None
    value = period.value if isinstance(period, (Batch, Epoch)) else period
    kinds = (int, Container) if isinstance(period, (Batch, Epoch)) else int
    if isinstance(value, (bool, str)) or not isinstance(value, kinds):
        raise TypeError(f"{name} is Batch(…) or Epoch(…) with a number or a container of numbers, not {period!r}.")
    if isinstance(value, int) and value < 1:
        return type(period)(1)
    return period


def _wait(session: Session) -> None:
    """Block until the training is over; while it is paused, too."""
    try:
        while session.wait() == "paused":
            time.sleep(_LOOK_AGAIN_S)
    except KeyboardInterrupt:
        with suppress(SessionError):  # it was over at that moment, or is paused already
            session.pause()
        raise


def _tell(session: Session, before: int) -> None:
    """Say what nobody may have seen who looks at no view: that there was nothing to train, or why it ended early."""
    if session.batches_trained == before and session.state == "finished":
        logger.warning("fit() had nothing to train: max_length counts from the first batch, and %d are trained.", before)
    if session.state == "stopped":
        _, lines = session.channel.log(0)
        reason = f" {lines[-1].text}" if lines else ""
        logger.warning("The training was stopped after batch %d.%s", session.batches_trained, reason)


def _beside(states: RandomStates) -> torch.Generator:
    """Return a generator that stands where torch's own does, so that what the user seeded decides, and nothing is drawn from it."""
    generator = torch.Generator()
    generator.set_state(states.on_host)
    return generator
