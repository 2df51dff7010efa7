"""``determined.experimental.core_v2``: the Core API with one context for the whole process, for notebooks and plain scripts."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from detjupyter.compat.core_api.context import Context
from detjupyter.compat.core_api.modes import PreemptMode, TensorboardMode
from detjupyter.compat.core_api.world import DistributedContext, require_one_process
from detjupyter.compat.unavailable import OfferedNames
from detjupyter.errors import TrialUsageError, UnsupportedError
from detjupyter.scripts.cluster_info import cluster_info, current_cluster_info, latest_checkpoint_of
from detjupyter.session.kernel import kernel

__all__ = [
    "Config",
    "DefaultConfig",
    "DistributedContext",
    "PreemptMode",
    "TensorboardMode",
    "UnmanagedConfig",
    "close",
    "init",
    "init_context",
    "url_reverse_webui_exp_view",
]

_PARTS = ("checkpoint", "distributed", "info", "preempt", "profiler", "searcher", "train")
_names = OfferedNames(__name__)

_context: Context | None = None


@dataclass(frozen=True)
class DefaultConfig:
    """What a run is called and of what it is; the rest concerns a cluster and is kept with the run."""

    name: str | None = None
    hparams: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    description: str | None = None
    labels: list[str] | None = None
    log_policies: Any = None
    workspace: str | None = None
    project: str | None = None
    max_restarts: int | None = None
    checkpoint_storage: Any = None
    searcher: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class UnmanagedConfig:
    """Where a cluster would list the run, and the ids by which :attr:`info` finds the checkpoint to continue from; kept with the run."""

    workspace: str | None = None
    project: str | None = None
    external_experiment_id: str | None = None
    external_trial_id: str | None = None


@dataclass(frozen=True)
class Config(DefaultConfig):
    """The two older configs in one."""

    external_experiment_id: str | None = None
    external_trial_id: str | None = None


def init(
    *,
    config: Config | None = None,
    defaults: DefaultConfig | None = None,
    unmanaged: UnmanagedConfig | None = None,
    client: Any = None,
    distributed: Any = None,
    checkpoint_storage: Any = None,
    preempt_mode: PreemptMode = PreemptMode.WorkersAskChief,
    tensorboard_mode: TensorboardMode = TensorboardMode.AUTO,
) -> None:
    """Begin the run that ``core_v2.train`` and the others are about; one that is open is closed before.

    :func:`close` ends it, or the end of the process.

    Args:
        config: Name, hyperparameters and ids of the run; or ``defaults`` and ``unmanaged`` in its place.
        defaults: Name and hyperparameters; a config that ``%det_script`` was given takes precedence.
        unmanaged: Ids: a run with both external ids continues from the last checkpoint of earlier ones, see ``info.latest_checkpoint``.
        client: None: there is no cluster.
        distributed: A world of one process.
        checkpoint_storage: Not used: checkpoints are kept in the history's directory.
        preempt_mode: Not used: there is one process.
        tensorboard_mode: Not used: TensorBoard's files stay where they are.

    Raises:
        ArgumentError: ``distributed`` is of several processes.
        StoreError: The run has external ids, and the history cannot be read.
        UnsupportedError: ``client`` is given.
    """
    global _context
    del checkpoint_storage, preempt_mode, tensorboard_mode
    _check(client, distributed)
    close()  # before the search for the latest checkpoint, which can be of this run
    made = _make(config, defaults, unmanaged)
    made.start()
    _context = made


@contextmanager
def init_context(
    *,
    config: Config | None = None,
    defaults: DefaultConfig | None = None,
    unmanaged: UnmanagedConfig | None = None,
    client: Any = None,
    distributed: Any = None,
    checkpoint_storage: Any = None,
    preempt_mode: PreemptMode = PreemptMode.WorkersAskChief,
    tensorboard_mode: TensorboardMode = TensorboardMode.AUTO,
) -> Iterator[Context]:
    """Yield a new context, for a ``with`` statement. The arguments and the errors are those of :func:`init`."""
    del checkpoint_storage, preempt_mode, tensorboard_mode
    _check(client, distributed)
    with _make(config, defaults, unmanaged) as context:
        yield context


def close() -> None:
    """End the run; does nothing if none is open."""
    global _context
    if _context is not None:
        _context.close()
        _context = None


def url_reverse_webui_exp_view(*_: Any) -> str:
    """Return how to look at the run: there is no web page of it, but its place in the history."""
    return f'dj.run("{_begun().run_id}")'


def _check(client: Any, distributed: Any) -> None:
    require_one_process(distributed)
    if client is not None:
        raise UnsupportedError("detjupyter has no cluster to connect to.", hint="Leave `client` out.")


def _make(config: Config | None, defaults: DefaultConfig | None, unmanaged: UnmanagedConfig | None) -> Context:
    given: dict[str, Any] = {}
    for part in (defaults, unmanaged, config):
        if part is not None:
            given |= {name: value for name, value in asdict(part).items() if value is not None}
    hyperparameters = dict(given.pop("hparams", {}))
    info = current_cluster_info()
    if info is None:
        experiment, trial = given.get("external_experiment_id"), given.get("external_trial_id")
        latest = None if experiment is None or trial is None else latest_checkpoint_of(experiment, trial)
        info = cluster_info(given, hyperparameters, latest)
    return Context(str(info.trial._config.get("name") or given.get("name", "script")), info)


def _begun() -> Context:
    if _context is None or _context.has_ended:  # of a script that `%det_script` ran, the run ends without close()
        raise TrialUsageError("core_v2 was not started.", hint="Call `core_v2.init()` first.")
    return _context


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return getattr(_begun(), name)
    return _names.get(name)


def __dir__() -> list[str]:
    return sorted([*_names.list(), *_PARTS])


def _end_with_the_process() -> None:
    """End the run as the process does: a script is through, or has failed; a kernel goes down in the middle of it."""
    global _context
    context, _context = _context, None
    if context is not None and kernel.id is not None:
        context.interrupt()
    elif context is not None:
        context.close(exc_val=getattr(sys, "last_value", None))


atexit.register(_end_with_the_process)
