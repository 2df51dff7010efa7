"""What a script of the Core API asks about its cluster, answered from a config: hyperparameters, ids, the checkpoint to continue from."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from detjupyter.errors import RunNotFoundError
from detjupyter.protocol.records import RunRecord
from detjupyter.store import open_store

#: The ids that a single kernel has in place of a cluster's.
TRIAL_ID = EXPERIMENT_ID = 1


@dataclass(frozen=True)
class TrialInfo:
    """The trial that a script trains; the names are Determined's.

    Attributes:
        hparams: The hyperparameters.
        trial_seed: The seed of the config, or 0.
        trial_id: 1.
        experiment_id: 1.
        _config: The whole config.
    """

    hparams: dict[str, Any] = field(default_factory=dict)
    trial_seed: int = 0
    trial_id: int = TRIAL_ID
    experiment_id: int = EXPERIMENT_ID
    _config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterInfo:
    """What ``determined.get_cluster_info()`` returns; the names are Determined's.

    Attributes:
        trial: The trial that the script trains.
        latest_checkpoint: The id of the checkpoint to continue from, None for a new training.
        task_id, allocation_id, cluster_id, agent_id: Ids of this process.
        slot_ids: The GPUs: the kernel's process has one world with one slot.
    """

    trial: TrialInfo
    latest_checkpoint: str | None = None
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task_type: str = "TRIAL"
    master_url: str = ""
    cluster_id: str = "detjupyter"
    agent_id: str = "detjupyter"
    session_token: str = ""
    slot_ids: tuple[int, ...] = (0,)
    container_rank: int = 0
    container_addrs: tuple[str, ...] = ("127.0.0.1",)
    container_slot_counts: tuple[int, ...] = (1,)

    @property
    def allocation_id(self) -> str:
        """The id of the task's only allocation."""
        return f"{self.task_id}.1"

    @property
    def user_data(self) -> dict[str, Any]:
        """The key ``data`` of the config."""
        return dict(self.trial._config.get("data") or {})

    @property
    def gpu_uuids(self) -> list[str]:
        """An empty list: scripts use the GPUs that the kernel sees."""
        return []

    @property
    def _trial_info(self) -> TrialInfo:
        """The trial, by the name that some scripts use."""
        return self.trial


def cluster_info(config: Mapping[str, Any], hyperparameters: Mapping[str, Any], latest_checkpoint: str | None = None) -> ClusterInfo:
    """Return the answer to ``get_cluster_info()`` for a config.

    Args:
        config: The experiment config.
        hyperparameters: The values of the hyperparameters, in which ranges are already sampled.
        latest_checkpoint: The id of the checkpoint to continue from.
    """
    config = {**config, "hyperparameters": dict(hyperparameters)}
    reproducibility = config.get("reproducibility")
    seed = reproducibility.get("experiment_seed") if isinstance(reproducibility, Mapping) else None
    return ClusterInfo(TrialInfo(dict(hyperparameters), int(seed or 0), _config=config), latest_checkpoint)


_current: ClusterInfo | None = None


def current_cluster_info() -> ClusterInfo | None:
    """Return the answer for the script that runs, None if none does."""
    return _current


@contextmanager
def answering(info: ClusterInfo) -> Iterator[None]:
    """Answer scripts with ``info`` in the block."""
    global _current
    before, _current = _current, info
    try:
        yield
    finally:
        _current = before


def latest_checkpoint_of(external_experiment_id: str, external_trial_id: str) -> str | None:
    """Return the last checkpoint of the newest run that has both external ids and a checkpoint; None if there is none.

    Raises:
        StoreError: The history cannot be read.
    """
    ids = {"external_experiment_id": external_experiment_id, "external_trial_id": external_trial_id}
    return _latest_checkpoint(lambda run: run.framework == "script" and ids.items() <= run.config.items())


def latest_checkpoint_of_script(root: str, entrypoint: str) -> str | None:
    """Return the last checkpoint of the newest run of a command in the directory ``root`` that has one; None if there is none.

    Raises:
        StoreError: The history cannot be read.
    """
    return _latest_checkpoint(lambda run: run.definition_root == root and run.config.get("entrypoint") == entrypoint)


def _latest_checkpoint(matches: Callable[[RunRecord], bool]) -> str | None:
    store = open_store()
    for run_id in store.run_states(limit=None):
        with suppress(RunNotFoundError):  # deleted since
            checkpoints = store.checkpoints(run_id)
            if checkpoints and matches(store.run(run_id)):
                return max(checkpoints, key=lambda one: one.created_at).id
    return None
