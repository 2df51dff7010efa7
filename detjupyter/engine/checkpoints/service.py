"""Saves the checkpoints of one engine, from the copy of the trial's state to the complete directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from detjupyter.engine.checkpoints.writer_thread import CheckpointWriter
from detjupyter.engine.checkpoints.writing import KeptCode, Origin, PendingCheckpoint, begin_checkpoint
from detjupyter.engine.loaded import LoadedTrial
from detjupyter.engine.progress import TrainingProgress
from detjupyter.engine.requests import Request
from detjupyter.errors import CheckpointError
from detjupyter.protocol.commands import UseCode, UseRun
from detjupyter.protocol.records import CheckpointRecord


@dataclass(slots=True, eq=False)
class Write:
    """The write of one checkpoint whose state is copied, and the requests that wait for its end.

    ``moment`` is the `TrainingProgress.moment` of that state.
    """

    batches_trained: int
    moment: tuple[int, int]
    waiting: list[Request] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a write: the record of the checkpoint, or the error that ended the write."""

    write: Write
    record: CheckpointRecord | None
    error: BaseException | None


class CheckpointService:
    """Saves the trial of one engine.

    A background thread writes one checkpoint at a time; the next one waits for it.

    Args:
        progress: The trial.
        name: The name of the session, for the thread's name.
        written: Called in the engine's thread with the result of each write.
        code_missing: Called in the engine's thread if the code archive of the run is no longer in the code store.
        say: Called in any thread with a sentence for the user's log, possibly the same one for each checkpoint.
        post: Takes a function that must be called in the engine's thread.

    Attributes:
        code: The code archive for new checkpoints.

    Thread: the engine's.
    """

    def __init__(
        self,
        progress: TrainingProgress,
        name: str,
        *,
        written: Callable[[Written], None],
        code_missing: Callable[[], None],
        say: Callable[[str], object],
        post: Callable[[Callable[[], None]], object],
    ) -> None:
        self._code_missing = code_missing
        self._say = say
        self._progress = progress
        self._written = written
        self._post = post
        self._load = 0
        # By load: a checkpoint can wait for the code of an older load. Weak, so that only such a checkpoint keeps it.
        self._codes: WeakValueDictionary[int, KeptCode] = WeakValueDictionary()
        self.code = self._new_code()
        self._writer = CheckpointWriter(name)
        self._writes: list[Write] = []
        self._run: UseRun | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a checkpoint is being written."""
        return bool(self._writes)

    def use(self, what: UseRun | UseCode) -> None:
        """Set the run that new checkpoints belong to, or the location of the code archive of a load. Thread: any."""
        if isinstance(what, UseRun):
            self._run, self.code = what, self._new_code()
        else:
            code = self._codes.get(what.load)  # None: no checkpoint waits for the code of that load any more
            if code is not None:
                code.set(what)

    def replace_code(self) -> int:
        """Expect another code archive, after a reload; return the number of the load."""
        self._load += 1
        self.code = self._new_code()
        return self._load

    def save(self, loaded: LoadedTrial, *, automatic: bool, metric: float | None) -> CheckpointRecord | None:
        """Copy the state, write it in the background, and return None.

        If the user's code needs the files, they are written now in this thread, and the record is returned.

        Args:
            loaded: The trial.
            automatic: Whether no command requested the checkpoint, so that it can be deleted later.
            metric: The value of the ranking metric for exactly these weights, None if it is unknown.

        Raises:
            CheckpointError: There is no run yet, the state cannot be copied, or the files cannot be written in this thread.
        """
        pending = self._begin(loaded, automatic, metric)
        if pending.needs_driver:
            return pending.write(self._code_missing, self._say)
        # This batch counts as saved from now on, so that no second checkpoint of it begins; _end() reverts this if the write fails.
        self._progress.checkpointed_at = self._progress.batches_trained
        write = Write(self._progress.batches_trained, self._progress.moment)
        self._writes.append(write)

        def done(record: CheckpointRecord | None, error: BaseException | None) -> None:
            self._post(lambda: self._end(Written(write, record, error)))

        # The partials must not refer to the trial, because the writer's tasks can outlive it.
        self._writer.write(partial(pending.write, partial(self._post, self._code_missing), self._say), done)
        return None

    def wait_with(self, waiting: list[Request]) -> None:
        """Add requests that must be answered when the newest write ends."""
        self._writes[-1].waiting.extend(waiting)

    def abandon(self) -> list[Request]:
        """Ignore the results of all writes, and return the requests that waited for them."""
        writes, self._writes = self._writes, []
        return [request for write in writes for request in write.waiting]

    def close(self) -> None:
        """Drop the reference to the engine's jobs, so that no cycle keeps the trial alive."""
        self._written = lambda _: None

    def _new_code(self) -> KeptCode:
        code = self._codes[self._load] = KeptCode()
        return code

    def _begin(self, loaded: LoadedTrial, automatic: bool, metric: float | None) -> PendingCheckpoint:
        run = self._run
        if run is None:
            raise CheckpointError("There is no run to save a checkpoint for.")
        origin = Origin(
            run.run_id,
            str(loaded.trial_class.entrypoint),
            loaded.trial_class.trial_class.framework,
            loaded.definition.path.name if loaded.definition.is_file else None,
            loaded.config.raw,
            loaded.config.hyperparameters,
            self.code,
        )
        return begin_checkpoint(self._progress, Path(run.checkpoints), origin, automatic=automatic, metric=metric)

    def _end(self, written: Written) -> None:
        if written.write not in self._writes:  # abandoned
            return
        self._writes.remove(written.write)
        if written.error is not None and self._progress.checkpointed_at == written.write.batches_trained:
            self._progress.checkpointed_at = None
        self._written(written)
