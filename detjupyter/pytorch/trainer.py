"""``pytorch.init`` and ``Trainer``: train a trial that a script or a cell has built itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from detjupyter.definition.config import read_config
from detjupyter.engine.plan import with_defaults
from detjupyter.errors import ArgumentError, LengthError
from detjupyter.protocol.commands import Train
from detjupyter.protocol.lengths import Batch, CheckpointPolicy, Epoch
from detjupyter.pytorch.building import adapt
from detjupyter.pytorch.context import PyTorchTrialContext
from detjupyter.pytorch.device import choose_device
from detjupyter.pytorch.randomness import RandomStates, RandomStream
from detjupyter.pytorch.trial import PyTorchTrial
from detjupyter.scripts.built_trial import open_session
from detjupyter.scripts.cluster_info import current_cluster_info
from detjupyter.session.registry import registry
from detjupyter.session.session import Session

Period = Batch | Epoch | int | None

logger = logging.getLogger("detjupyter")

_POLICIES = ("best", "all", "none")
_POLL_INTERVAL_S = 0.1


@contextmanager
def init(
    *,
    hparams: Mapping[str, Any] | None = None,
    exp_conf: Mapping[str, Any] | None = None,
    distributed: Any = None,
    aggregation_frequency: int = 1,
    enable_tensorboard_logging: bool = True,
) -> Iterator[PyTorchTrialContext]:
    """Yield a context to build a trial with, for :class:`Trainer`.

    This function seeds nothing: the trial's random numbers follow from the seeds that the caller has set.

    Args:
        hparams: The hyperparameters for ``context.get_hparam``; by default those of ``%det_script``.
        exp_conf: An experiment config, as a dict; its hyperparameters are used if ``hparams`` is not given. By default that of
            ``%det_script``.
        distributed: For training in several processes; only a world of size 1 is supported.
        aggregation_frequency: The number of batches whose gradients one update accumulates.
        enable_tensorboard_logging: Whether metrics are also written to the trial's ``SummaryWriter``, if it creates one.

    Raises:
        ArgumentError: ``distributed`` has several processes.
        ConfigError: ``exp_conf`` is invalid.
    """
    if distributed is not None and getattr(distributed, "size", 1) > 1:
        raise ArgumentError(f"detjupyter trains in one process, not in {distributed.size}.", hint="Leave `distributed` out.")
    info = current_cluster_info()
    if info is not None:  # as on a cluster, the config of the script applies to what the call leaves out
        hparams = info.trial.hparams if hparams is None else hparams
        exp_conf = info.trial._config if exp_conf is None else exp_conf
    read = read_config({} if exp_conf is None else exp_conf, Path.cwd(), None, 0)
    # wrap_optimizer() reads the frequency from the config, which is where other trials have it.
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
    """Trains a trial in a session: the history keeps its run, and a notebook shows it live.

    Args:
        trial: A trial that was built with ``context``; its constructor can have further arguments.
        context: The context that :func:`init` yielded.

    Raises:
        TypeError: ``trial`` or ``context`` is of another class, for example one of an installed ``determined``.
    """

    def __init__(self, trial: PyTorchTrial, context: PyTorchTrialContext) -> None:
        for name, value, kind in (("trial", trial, PyTorchTrial), ("context", context, PyTorchTrialContext)):
            if not isinstance(value, kind):
                found = f"{type(value).__module__}.{type(value).__qualname__}"
                raise TypeError(f"Trainer: {name} must be a {kind.__name__} of detjupyter.pytorch, got {found}.")
        self._trial = trial
        self._context = context
        self._session: Session | None = None

    @property
    def session(self) -> Session | None:
        """The session, None before the first :meth:`fit`."""
        return self._session

    def configure_profiler(self, *_: Any, **__: Any) -> None:
        """Do nothing, like Determined since 0.38; ``context.set_profiler`` profiles."""
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
        """Train until ``max_length`` in total, validate, save a checkpoint, and return.

        The user can pause and stop the training in its views. While the training is paused, this method waits; when it is stopped, this
        method returns. An interrupt pauses the training and raises KeyboardInterrupt; ``%det_resume`` or ``session.resume()`` then
        continues it.

        Args:
            checkpoint_period: When to save checkpoints during the training: every n batches or epochs, or at the numbers in a container.
            validation_period: When to validate during the training.
            max_length: How long to train, as ``Batch(n)`` or ``Epoch(n)``; by default the config's ``searcher.max_length``.
            reporting_period: The length of a reporting period, after which callbacks and custom reducers are called.
            checkpoint_policy: After which validations to save a checkpoint: ``best``, ``all`` or ``none``.
            latest_checkpoint: The directory or the id of a checkpoint to continue from, including the position in the data.
            step_zero_validation: Whether to validate before the first batch.
            test_mode: Whether to train on one batch only, validate, and save a checkpoint.
            profiling_enabled: Ignored.
            trust: Whether to read objects of any class from ``latest_checkpoint``, which can execute arbitrary code. Some of Determined's
                checkpoints contain such objects.

        Raises:
            LengthError: ``max_length`` is missing or not positive.
            ArgumentError: The policy is none of the three.
            TypeError: A length or a period has the wrong type.
            CheckpointError: ``latest_checkpoint`` is missing or damaged, belongs to another class, or needs ``trust``.
            SessionBusyError: An earlier training of this trial is paused.
            TrialError: The trial's code raised an exception.
        """
        if profiling_enabled:
            logger.warning("profiling_enabled does nothing here; use context.set_profiler(…) in the trial.")
        requested = Train(
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
            raise ArgumentError(f"checkpoint_policy must be one of {', '.join(_POLICIES)}, got {checkpoint_policy!r}.")
        options = self._with_length(requested)
        session = self._open()
        if latest_checkpoint is not None:
            session.restore(latest_checkpoint, trust=trust)
        registry.show(session)
        before = session.batches_trained
        with session.awaited():  # before the first batch: what it changes in the process is the trial's work
            session.train_as(options)
            _wait(session)
        _warn_of_end(session, before)

    def _with_length(self, requested: Train) -> Train:
        """Return the options, with the configuration's length if none was given."""
        if requested.length is not None:
            return requested
        settings = self._context.settings
        if settings.searcher_length is None:
            raise LengthError("fit() needs max_length, as Batch(n) or Epoch(n).")
        return replace(requested, length=with_defaults(requested, settings).length)

    def _open(self) -> Session:
        """Return the session. The first call creates it; its trial continues from the present random states of the process."""
        if self._session is None:
            context = self._context
            states = RandomStates.now(context.device)
            seed = context.settings.experiment_seed
            if seed is None:
                seed = int(torch.randint(2**31, (), generator=_copied_generator(states)))
            adapter = adapt(self._trial, context, RandomStream(states, context.device), seed)
            self._session = open_session(adapter, context.config, seed, self)
        return self._session


def _length(max_length: Batch | Epoch | None) -> Batch | Epoch | None:
    """Return ``max_length`` after checking it. None means the configuration's length."""
    if max_length is None:
        return None
    if not isinstance(max_length, (Batch, Epoch)) or type(max_length.value) is not int:
        raise TypeError(f"max_length must be Batch(n) or Epoch(n) with an integer n, got {max_length!r}.")
    if max_length.value < 1:
        raise LengthError(f"max_length must be positive, got {max_length!r}.")
    return max_length


def _period(name: str, period: Period) -> Period:
    """Return ``period`` after checking it, with 1 in place of a smaller number, as Determined does."""
    if period is None:
        return None
    value = period.value if isinstance(period, (Batch, Epoch)) else period
    kinds = (int, Container) if isinstance(period, (Batch, Epoch)) else int
    if isinstance(value, (bool, str)) or not isinstance(value, kinds):
        raise TypeError(f"{name} must be Batch(…) or Epoch(…) with a number or a container of numbers, got {period!r}.")
    if isinstance(value, int) and value < 1:
        return type(period)(1)
    return period


def _wait(session: Session) -> None:
    """Block until the training has ended, also during a pause."""
    try:
        while session.wait() == "paused":  # it returns at once during a pause
            time.sleep(_POLL_INTERVAL_S)
    except KeyboardInterrupt:
        session.pause_soon()  # with a limit: the batch may be what the user interrupts
        raise


def _warn_of_end(session: Session, before: int) -> None:
    """Warn if there was nothing to train, or the training ended early: a script has no view that shows it."""
    if session.batches_trained == before and session.state == "finished":
        logger.warning("fit() had nothing to train: max_length counts from the first batch, and %d batches are already trained.", before)
    if session.state == "stopped":
        _, lines = session.channel.log(0)
        reason = f" {lines[-1].text}" if lines else ""
        logger.warning("The training was stopped after batch %d.%s", session.batches_trained, reason)


def _copied_generator(states: RandomStates) -> torch.Generator:
    """Return a generator in the state of torch's default one: it draws what the user's seed decides, without advancing the default one."""
    generator = torch.Generator()
    generator.set_state(states.of_torch)
    return generator
