"""``determined.core``: scripts that train by themselves report into a run of the history."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from detjupyter.errors import CheckpointError
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import State
from detjupyter.pytorch.distributed import SingleProcess
from detjupyter.training.registry import registry
from detjupyter.training.reported import ReportedRun

_METADATA = "metadata.json"


class PreemptMode(Enum):
    """Who asks whether to stop; here there is one process."""

    WorkersAskChief = "WORKERS_ASK_CHIEF"
    ChiefOnly = "CHIEF_ONLY"
    WorkersAskMaster = "WORKERS_ASK_MASTER"


class TensorboardMode(Enum):
    """Who takes care of TensorBoard's files."""

    AUTO = "AUTO"
    MANUAL = "MANUAL"


class EarlyExitReason(Enum):
    """Why a script ends before it is through."""

    INVALID_HP = "EXITED_REASON_INVALID_HP"
    USER_REQUESTED_STOP = "EXITED_REASON_USER_REQUESTED_STOP"


class DistributedContext(SingleProcess):
    """The world of one process."""


class TrainContext:
    """``context.train``: where metrics are reported."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    def report_training_metrics(self, steps_completed: int, metrics: Mapping[str, Any], batch_metrics: Any = None) -> None:
        """Keep training metrics."""
        del batch_metrics
        self._run.report_training(steps_completed, metrics)

    def report_validation_metrics(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep validation metrics."""
        self._run.report_validation(steps_completed, metrics)

    def report_metrics(self, group: str, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep metrics of a group; of any but ``validation`` the names are told apart by it."""
        if group == "validation":
            self._run.report_validation(steps_completed, metrics)
        else:
            named = metrics if group == "training" else {f"{group}/{name}": value for name, value in metrics.items()}
            self._run.report_training(steps_completed, named)

    def report_progress(self, progress: float) -> None:
        """Do nothing: what is left is not known in batches."""

    def report_early_exit(self, reason: EarlyExitReason) -> None:
        """Note why the script ends."""
        self._run.say(f"The script ends early: {reason.name}.")

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
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def upload_tensorboard_files(self, *_: Any, **__: Any) -> None:
        """Do nothing: they stay where they are."""


class CheckpointContext:
    """``context.checkpoint``: checkpoints as directories of the run."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    @contextmanager
    def store_path(self, metadata: Mapping[str, Any] | None = None, **_: Any) -> Iterator[tuple[Path, str]]:
        """Give a new directory to write a checkpoint into, and its id; it is complete when the block ends well."""
        storage_id = str(uuid.uuid4())
        target = self._run.directory / storage_id
        scratch = self._run.directory / f".{storage_id}.partial"
        scratch.mkdir(parents=True)
        try:
            yield scratch, storage_id
            (scratch / _METADATA).write_text(json.dumps(dict(metadata or {})), encoding="utf-8")
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        steps = int((metadata or {}).get("steps_completed", 0))
        size_bytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
        self._run.checkpointed(CheckpointRecord(storage_id, self._run.run_id, steps, time.time(), str(target), size_bytes))

    def upload(self, ckpt_dir: str | Path, metadata: Mapping[str, Any] | None = None, **_: Any) -> str:
        """Keep a copy of a directory as a checkpoint; return its id."""
        with self.store_path(metadata) as (path, storage_id):
            shutil.copytree(ckpt_dir, path, dirs_exist_ok=True)
        return storage_id

    @contextmanager
    def restore_path(self, storage_id: str, **_: Any) -> Iterator[Path]:
        """Give the directory of a checkpoint to read from."""
        yield self._find(storage_id)

    def download(self, storage_id: str, ckpt_dir: str | Path, **_: Any) -> None:
        """Copy a checkpoint into a directory."""
        shutil.copytree(self._find(storage_id), ckpt_dir, dirs_exist_ok=True)

    def get_metadata(self, storage_id: str) -> dict[str, Any]:
        """Return what a checkpoint was stored with."""
        metadata: dict[str, Any] = json.loads((self._find(storage_id) / _METADATA).read_text(encoding="utf-8"))
        return metadata

    def delete(self, storage_id: str, **_: Any) -> None:
        """Delete a checkpoint's files."""
        shutil.rmtree(self._find(storage_id))

    def _find(self, storage_id: str) -> Path:
        """Return the directory of a checkpoint of this run, or of another one."""
        places = (self._run.directory / storage_id, *self._run.directory.parent.glob(f"*/{storage_id}"))
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            raise CheckpointError(f"There is no checkpoint {storage_id!r}.", hint="`detjupyter.runs()` shows what there is.")
        return found


class SearcherOperation:
    """The one piece of work that there is without a search."""

    length = 1

    def report_progress(self, length: float) -> None:
        """Do nothing."""

    def report_completed(self, searcher_metric: float) -> None:
        """Do nothing: the metric was reported as a validation's."""


class SearcherContext:
    """``context.searcher``: no search asks for anything."""

    def operations(self, *_: Any, **__: Any) -> Iterator[SearcherOperation]:
        """Yield one operation of length 1."""
        yield SearcherOperation()


class PreemptContext:
    """``context.preempt``: whether somebody wants the script to stop."""

    def __init__(self, run: ReportedRun) -> None:
        self._run = run

    def should_preempt(self, auto_ack: bool = True) -> bool:
        """Return whether the stop button was pressed."""
        del auto_ack
        return self._run.stop_requested

    def acknowledge_preemption_signal(self) -> None:
        """Do nothing."""


class Context:
    """What :func:`init` gives."""

    def __init__(self, run: ReportedRun) -> None:
        self.train = TrainContext(run)
        self.checkpoint = CheckpointContext(run)
        self.searcher = SearcherContext()
        self.preempt = PreemptContext(run)
        self.distributed = DistributedContext()
        self.info = None
        self.run_id = run.run_id


@contextmanager
def init(*, distributed: Any = None, checkpoint_storage: Any = None, **_: Any) -> Iterator[Context]:
    """Give a context whose reports become a run of the history, which a notebook shows live.

    Checkpoints are kept beside the history, wherever ``checkpoint_storage`` points; ``distributed`` is a world of one.
    """
    del distributed, checkpoint_storage
    run = ReportedRun("script", {}, {})
    registry.show(run)
    try:
        yield Context(run)
    except BaseException as error:
        run.say(f"{type(error).__name__}: {error}")
        run.end(State.INTERRUPTED if isinstance(error, KeyboardInterrupt) else State.FAILED)
        raise
    run.end(State.STOPPED if run.stop_requested else State.FINISHED)
