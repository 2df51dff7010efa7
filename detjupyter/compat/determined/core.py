"""``determined.core``: scripts that train by themselves report into a run of the history."""

from __future__ import annotations

from typing import Any

from detjupyter.compat.core_api.checkpoints import CheckpointContext
from detjupyter.compat.core_api.context import Context, PreemptContext, ProfilerContext
from detjupyter.compat.core_api.modes import DownloadMode, EarlyExitReason, PreemptMode, SearcherMode, TensorboardMode, Unit
from detjupyter.compat.core_api.reporting import TrainContext
from detjupyter.compat.core_api.searcher import SearcherContext, SearcherOperation
from detjupyter.compat.core_api.world import DistributedContext, require_one_process
from detjupyter.compat.unavailable import OfferedNames
from detjupyter.scripts.cluster_info import current_cluster_info

__all__ = [
    "CheckpointContext",
    "Context",
    "DistributedContext",
    "DownloadMode",
    "DummyDistributedContext",
    "EarlyExitReason",
    "PreemptContext",
    "PreemptMode",
    "ProfilerContext",
    "SearcherContext",
    "SearcherMode",
    "SearcherOperation",
    "TensorboardMode",
    "TrainContext",
    "Unit",
    "init",
]

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list

DummyDistributedContext = DistributedContext


def init(
    *,
    distributed: Any = None,
    checkpoint_storage: Any = None,
    preempt_mode: PreemptMode = PreemptMode.WorkersAskChief,
    tensorboard_mode: TensorboardMode = TensorboardMode.AUTO,
) -> Context:
    """Return a context whose reports become a run of the history, which a notebook shows live; use it in a ``with``.

    Args:
        distributed: A world of one process.
        checkpoint_storage: Not used: checkpoints are kept in the history's directory.
        preempt_mode: Not used: there is one process.
        tensorboard_mode: Not used: TensorBoard's files stay where they are.

    Raises:
        ArgumentError: ``distributed`` is of several processes.
    """
    del checkpoint_storage, preempt_mode, tensorboard_mode
    require_one_process(distributed)
    info = current_cluster_info()
    return Context(str("script" if info is None else info.trial._config.get("name", "script")), info)
