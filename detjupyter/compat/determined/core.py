"""``determined.core``: scripts that train by themselves report into a run of the history."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from detjupyter.compat.unavailable import OfferedNames
from detjupyter.errors import ArgumentError, CheckpointError, NoLauncherError, TrialUsageError, UnsupportedError
from detjupyter.framework.single_process import SingleProcess
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import State
from detjupyter.scripts.cluster_info import ClusterInfo, current_cluster_info
from detjupyter.scripts.reported_run import ReportedRun
from detjupyter.session.registry import registry
from detjupyter.store.location import create_directory

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

_METADATA = "metadata.json"

Selector = Callable[[str], bool]
"""Given a path relative to a checkpoint's directory (directories end with a slash), returns whether it is copied."""


class PreemptMode(Enum):
    """Who asks whether to stop; here there is one process."""

    WorkersAskChief = "WORKERS_ASK_CHIEF"
    ChiefOnly = "CHIEF_ONLY"
    WorkersAskMaster = "WORKERS_ASK_MASTER"


class TensorboardMode(Enum):
    """Who takes care of TensorBoard's files."""

    AUTO = "AUTO"
    MANUAL = "MANUAL"


class DownloadMode(Enum):
    """Who fetches a checkpoint; here there is one process."""

    LocalWorkersShareDownload = "LOCAL_WORKERS_SHARE_DOWNLOAD"
    NoSharedDownload = "NO_SHARED_DOWNLOAD"


class SearcherMode(Enum):
    """Who asks a search what to do; here there is one process."""

    WorkersAskChief = "WORKERS_ASK_CHIEF"
    ChiefOnly = "CHIEF_ONLY"


class EarlyExitReason(Enum):
    """Why a script ends before it is through."""

    INVALID_HP = "EXITED_REASON_INVALID_HP"
    USER_REQUESTED_STOP = "EXITED_REASON_USER_REQUESTED_STOP"


class Unit(Enum):
    """What the length of a training is counted in."""

    EPOCHS = "EPOCHS"
    RECORDS = "RECORDS"
    BATCHES = "BATCHES"


class DistributedContext(SingleProcess):
    """The world of one process.

    Args:
        rank, local_rank, cross_rank: 0.
        size, local_size, cross_size: 1.
        chief_ip: Not used: there is one process.

    Raises:
        UnsupportedError: The arguments describe several processes.
    """

    def __init__(
        self,
        *,
        rank: int = 0,
        size: int = 1,
        local_rank: int = 0,
        local_size: int = 1,
        cross_rank: int = 0,
        cross_size: int = 1,
        chief_ip: str | None = None,
        **_: Any,  # ports, and whether to force TCP
    ) -> None:
        del chief_ip
        if (rank, local_rank, cross_rank, size, local_size, cross_size) != (0, 0, 0, 1, 1, 1):
            raise UnsupportedError(f"detjupyter trains in one process, not as rank {rank} of {size}.", hint="Leave `distributed` out.")

    @classmethod
    def from_torch_distributed(cls, chief_ip: str | None = None) -> DistributedContext:
        """Return the world of one process if torch's launcher has started one.

        Raises:
            NoLauncherError: It has started none: the guard ``except KeyError`` of many scripts is right.
            UnsupportedError: It has started several.
        """
        return cls._launched("from_torch_distributed", "WORLD_SIZE", chief_ip)

    @classmethod
    def from_deepspeed(cls, chief_ip: str | None = None) -> DistributedContext:
        """Like :meth:`from_torch_distributed`: DeepSpeed's launcher sets the same variables."""
        return cls._launched("from_deepspeed", "WORLD_SIZE", chief_ip)

    @classmethod
    def from_horovod(cls, hvd: Any, chief_ip: str | None = None) -> DistributedContext:
        """Like :meth:`from_torch_distributed`, for horovod's launcher."""
        del hvd
        return cls._launched("from_horovod", "HOROVOD_SIZE", chief_ip)

    @classmethod
    def from_tf_config(cls) -> NoReturn:
        """Refuse: TensorFlow's own launchers are for several processes.

        Raises:
            NoLauncherError: Always.
        """
        raise NoLauncherError("DistributedContext.from_tf_config() needs several processes.", hint="Leave `distributed` out.")

    @classmethod
    def _launched(cls, name: str, variable: str, chief_ip: str | None) -> DistributedContext:
        size = os.environ.get(variable)
        if size is None:
            raise NoLauncherError(
                f"DistributedContext.{name}() needs a launcher of several processes; this process was started without one.",
                hint="Leave `distributed` out: a script in a notebook trains in one process.",
            )
        return cls(size=int(size), chief_ip=chief_ip)

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


DummyDistributedContext = DistributedContext


class TrainContext:
    """``context.train``: where metrics are reported."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    def report_training_metrics(self, steps_completed: int, metrics: Mapping[str, Any], batch_metrics: Any = None) -> None:
        """Keep training metrics; ``batch_metrics`` add nothing here."""
        del batch_metrics
        self._run.report_training(steps_completed, metrics)

    def report_validation_metrics(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep validation metrics."""
        self._run.report_validation(steps_completed, metrics)

    def report_metrics(self, group: str, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep metrics of a group; names of groups other than ``validation`` and ``training`` get it as a prefix."""
        if group == "validation":
            self._run.report_validation(steps_completed, metrics)
        else:
            named = metrics if group == "training" else {f"{group}/{name}": value for name, value in metrics.items()}
            self._run.report_training(steps_completed, named)

    def report_progress(self, progress: float) -> None:
        """Do nothing but look at it: what is left is not known in batches.

        Raises:
            ArgumentError: It is not from 0 to 1.
        """
        if not 0 <= progress <= 1:
            raise ArgumentError(f"Progress must be from 0 to 1, not {progress!r}.")

    def report_early_exit(self, reason: EarlyExitReason) -> None:
        """Note why the script ends; the run counts as stopped."""
        self._run.end_early(f"The script ends early: {getattr(reason, 'name', reason)}.")

    def set_status(self, status: str) -> None:
        """Note what the script does."""
        self._run.say(status)

    def get_experiment_best_validation(self) -> float | None:
        """Return the best validation so far, None if there was none."""
        best = self._run.best
        return None if best is None else best.value

    def get_tensorboard_path(self) -> Path:
        """Return a directory for TensorBoard's files, which exists."""
        directory = self._run.directory / "tensorboard"
        create_directory(directory)
        return directory

    def upload_tensorboard_files(self, *_: Any, **__: Any) -> None:
        """Do nothing: they stay where they are."""


class CheckpointContext:
    """``context.checkpoint``: checkpoints as directories of the run."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    @contextmanager
    def store_path(self, metadata: Mapping[str, Any] | None = None, *, shard: bool = False) -> Iterator[tuple[Path, str]]:
        """Give a new directory to write a checkpoint into, and its id; it is complete when the block ends well.

        One process writes the whole checkpoint, whether it is ``shard`` or not.
        """
        del shard
        storage_id = str(uuid.uuid4())
        target = self._run.directory / storage_id
        scratch = self._run.directory / f".{storage_id}.partial"
        text = json.dumps(dict(metadata or {}))  # first: what cannot be written is not worth a directory
        create_directory(scratch, exist_ok=False)
        try:
            yield scratch, storage_id
            (scratch / _METADATA).write_text(text, encoding="utf-8")
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        steps = int((metadata or {}).get("steps_completed", 0))
        size_bytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        self._run.checkpointed(CheckpointRecord(storage_id, self._run.run_id, steps, time.time(), str(target), size_bytes))

    def upload(
        self,
        ckpt_dir: str | Path | None,
        metadata: Mapping[str, Any] | None = None,
        *,
        shard: bool = False,
        selector: Selector | None = None,
    ) -> str:
        """Keep a copy of a directory, or of the files in it that ``selector`` selects, as a checkpoint; return its id."""
        with self.store_path(metadata, shard=shard) as (path, storage_id):
            if ckpt_dir is not None:
                _copy(Path(ckpt_dir), path, selector)
        return storage_id

    @contextmanager
    def restore_path(
        self, storage_id: str, download_mode: DownloadMode = DownloadMode.LocalWorkersShareDownload, *, selector: Selector | None = None
    ) -> Iterator[Path]:
        """Give the directory of a checkpoint to read from, with all its files."""
        del download_mode, selector
        yield self._find(storage_id)

    def download(
        self,
        storage_id: str,
        ckpt_dir: str | Path,
        download_mode: DownloadMode = DownloadMode.LocalWorkersShareDownload,
        *,
        selector: Selector | None = None,
    ) -> None:
        """Copy a checkpoint, or the files in it that ``selector`` selects, into a directory."""
        del download_mode
        _copy(self._find(storage_id), Path(ckpt_dir), selector)

    def get_metadata(self, storage_id: str) -> dict[str, Any]:
        """Return what a checkpoint was stored with."""
        metadata: dict[str, Any] = json.loads((self._find(storage_id) / _METADATA).read_text(encoding="utf-8"))
        return metadata

    def delete(self, storage_id: str, *_: Any, **__: Any) -> None:
        """Delete a checkpoint."""
        shutil.rmtree(self._find(storage_id))
        self._run.forget_checkpoint(storage_id)

    def _find(self, storage_id: str) -> Path:
        """Return the directory of a checkpoint of this run, or of another one."""
        places: tuple[Path, ...] = ()
        if storage_id and Path(storage_id).name == storage_id and not storage_id.startswith("."):
            runs = self._run.directory.parent
            places = (self._run.directory / storage_id, *(run / storage_id for run in sorted(runs.glob("*"))))
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise CheckpointError(
                f"There is no checkpoint {storage_id!r}.", hint=f"{NextStep.RUNS} lists the runs, each with its `checkpoints()`."
            )
        return found


def _copy(source: Path, target: Path, selector: Selector | None) -> None:
    def left_out(directory: str, names: Iterable[str]) -> set[str]:
        below = Path(directory).relative_to(source)
        return {name for name in names if not Path(directory, name).is_dir() and selector is not None and not selector(str(below / name))}

    shutil.copytree(source, target, ignore=left_out, dirs_exist_ok=True)


class SearcherOperation:
    """The one piece of work that there is without a search.

    Attributes:
        length: How long the training is to be, in the unit of the config.
    """

    def __init__(self, length: int) -> None:
        self.length = length

    def report_progress(self, length: float) -> None:
        """Do nothing."""

    def report_completed(self, searcher_metric: float) -> None:
        """Do nothing: the metric was reported as a validation's."""


class SearcherContext:
    """``context.searcher``: no search asks for anything.

    Args:
        config: The experiment config, whose ``searcher.max_length`` is the length of the only operation; by default 1.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        searcher = config.get("searcher")
        # an empty key has its default, as in every config
        self._max_length = (searcher.get("max_length") if isinstance(searcher, Mapping) else None) or 1

    def operations(self, searcher_mode: SearcherMode = SearcherMode.WorkersAskChief, auto_ack: bool = True) -> Iterator[SearcherOperation]:
        """Yield one operation."""
        del searcher_mode, auto_ack
        length = self._max_length
        yield SearcherOperation(int(next(iter(length.values())) if isinstance(length, Mapping) else length))

    def get_configured_units(self) -> Unit | None:
        """Return the unit of ``searcher.max_length``, None if the config has no length with a unit."""
        unit = next(iter(self._max_length)) if isinstance(self._max_length, Mapping) else ""
        return Unit.__members__.get(str(unit).upper())

    def acknowledge_out_of_ops(self) -> None:
        """Do nothing."""


class PreemptContext:
    """``context.preempt``: whether the script was asked to stop."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    def should_preempt(self, auto_ack: bool = True) -> bool:
        """Return whether the stop button was pressed."""
        del auto_ack
        return self._run.stop_requested

    def acknowledge_preemption_signal(self) -> None:
        """Do nothing."""


class ProfilerContext:
    """``context.profiler``: the system metrics of a cluster. The live view shows the GPU in any case."""

    def on(self, sampling_interval: int = 1, samples_per_report: int = 10) -> None:
        """Do nothing."""

    def off(self) -> None:
        """Do nothing."""


class Context:
    """What :func:`init` gives: begins a run when it is entered, and ends it when it is left.

    Args:
        name: The name of the session that views show.
        info: What ``get_cluster_info()`` returns: its hyperparameters and its config are those of the run. None without a config.

    Attributes:
        distributed: The world of one process.
        info: As given.
        searcher: See :class:`SearcherContext`.
        profiler: See :class:`ProfilerContext`.
    """

    def __init__(self, name: str, info: ClusterInfo | None) -> None:
        config = {} if info is None else info.trial._config
        self._arguments = (name, {} if info is None else info.trial.hparams, config)
        self._run: ReportedRun | None = None
        self.distributed = DistributedContext()
        self.searcher = SearcherContext(config)
        self.profiler = ProfilerContext()
        self.info = info

    @property
    def train(self) -> TrainContext:
        """Where metrics are reported."""
        return TrainContext(self._begun())

    @property
    def checkpoint(self) -> CheckpointContext:
        """Where checkpoints are kept."""
        return CheckpointContext(self._begun())

    @property
    def preempt(self) -> PreemptContext:
        """Whether the script was asked to stop."""
        return PreemptContext(self._begun())

    @property
    def run_id(self) -> str:
        """The run in the history."""
        return self._begun().run_id

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return self._run is not None and self._run.has_ended

    def start(self) -> None:
        """Begin the run, and show it where a notebook does."""
        if self._run is None:
            self._run = ReportedRun(*self._arguments)
            registry.show(self._run)

    def close(self, exc_type: object = None, exc_val: BaseException | None = None, exc_tb: object = None) -> None:
        """End the run; of what was raised depends how. Safe to call twice."""
        del exc_type, exc_tb
        run = self._run
        if run is None or run.has_ended:
            return
        run.end_after(exc_val)

    def interrupt(self) -> None:
        """End the run in the middle of it."""
        if self._run is not None and not self._run.has_ended:
            self._run.end(State.INTERRUPTED)

    def __enter__(self) -> Context:
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None) -> None:
        self.close(exc_type, exc_val, exc_tb)

    def _begun(self) -> ReportedRun:
        if self._run is None:
            raise TrialUsageError("This context was not started.", hint="Write `with determined.core.init() as context:`.")
        return self._run


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


def require_one_process(distributed: Any) -> None:
    """Refuse a world of several processes.

    Raises:
        ArgumentError: There are several.
    """
    if distributed is not None and getattr(distributed, "size", 1) > 1:
        raise ArgumentError(f"detjupyter trains in one process, not in {distributed.size}.", hint="Leave `distributed` out.")
