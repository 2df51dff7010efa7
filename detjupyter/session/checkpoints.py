"""The checkpoints of a session's run: find one, and delete those that expire."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from detjupyter.engine.checkpoints.writer_thread import CheckpointWriter
from detjupyter.errors import CheckpointError, StoreError
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import CheckpointRecord, SessionRecord
from detjupyter.session.recorder import Recorder
from detjupyter.session.retention import Retention, best_first
from detjupyter.store.base import Store
from detjupyter.store.definition_runs import runs_of_definition


class CheckpointCatalog:
    """Finds checkpoints, and deletes those that a newer or better one replaces.

    Args:
        recorder: The record of the run.
        record: Returns the current state of the session.
        say: Adds a sentence to the session's log.
        name: The name of the session, for the thread that deletes files.
    """

    def __init__(self, recorder: Recorder, record: Callable[[], SessionRecord], say: Callable[[str], None], name: str) -> None:
        self._recorder = recorder
        self._record = record
        self._say = say
        self._files = CheckpointWriter(name)
        self._noted: dict[str, CheckpointRecord] = {}

    def expire(self, retention: Retention, *, smaller_is_better: bool | None) -> None:
        """Delete the automatic checkpoints that ``retention`` does not keep. Thread: the recorder's."""
        store, run_id = self._recorder.store, self._recorder.run_id
        if store is None or run_id is None:
            return
        try:
            for old in retention.expired(store.checkpoints(run_id), smaller_is_better=self._smaller_is_better(smaller_is_better)):
                store.delete_checkpoint(old.id)  # first: if the history is locked, this raises, and the files stay
                self._files.delete(Path(old.path))
        except (StoreError, CheckpointError) as error:  # keeping an old checkpoint is better than ending the training
            self._say(f"Old checkpoints were not deleted: {error}")

    def find(self, checkpoint: CheckpointRecord | str | Path, open_store: Callable[[], Store], *, smaller_is_better: bool | None) -> Path:
        """Return the directory of a checkpoint, given as a record, an id, a directory, ``best`` or ``latest``.

        The last two are of this session, or of the earlier runs of this definition if it has none.

        Raises:
            CheckpointError: There is no such checkpoint.
        """
        if isinstance(checkpoint, CheckpointRecord):
            return Path(checkpoint.path)
        if not isinstance(checkpoint, (str, os.PathLike)):
            raise CheckpointError(f"{checkpoint!r} is not a checkpoint.", hint="Give a record, an id, a directory, 'latest' or 'best'.")
        self._recorder.settle()
        if checkpoint in ("best", "latest"):
            own = self._ranked(str(checkpoint), self._kept(), smaller_is_better)
            found = own or self._of_earlier_runs(str(checkpoint), self._recorder.store or open_store(), smaller_is_better)
            if found is None:
                what = "with a validation of the same batch" if checkpoint == "best" else "of this definition"
                raise CheckpointError(f"There is no checkpoint {what} yet.", hint=f"{NextStep.CHECKPOINT} saves one.")
            return Path(found.path)
        text = str(checkpoint)
        directory = _directory(text)
        if directory is not None and os.path.basename(text) != text:  # noqa: PTH119 (Path drops a final slash)
            return directory
        try:
            return Path((self._recorder.store or open_store()).checkpoint(text).path)
        except CheckpointError:
            if directory is None:
                raise
            return directory  # only now: the working directory can contain one that is called like the id of another checkpoint

    def listed(self, checkpoint_id: str, open_store: Callable[[], Store]) -> CheckpointRecord:
        """Return the checkpoint that the history lists under an id: never a directory that has this name.

        Raises:
            CheckpointError: The history lists none, or its run is of another definition.
        """
        self._recorder.settle()
        store, mine = self._recorder.store or open_store(), self._record()
        found = store.checkpoint(checkpoint_id)
        its_run = store.run(found.run_id)
        if (its_run.entrypoint, its_run.definition_root) != (mine.entrypoint, mine.definition_root):
            raise CheckpointError(
                f"The checkpoint {checkpoint_id!r} is of another definition: {its_run.entrypoint} in {its_run.definition_root}.",
                hint=f"Load what its run trained: {NextStep.LOAD_RUN(its_run.id)}.",
            )
        return found

    def note(self, checkpoint: CheckpointRecord) -> None:
        """Remember a complete checkpoint until the history has recorded it."""
        self._noted[checkpoint.id] = checkpoint

    def _kept(self) -> list[CheckpointRecord]:
        """Return the checkpoints of the run in the order in which they were saved, including those not yet in the history."""
        store, run_id = self._recorder.store, self._recorder.run_id
        kept = [] if store is None or run_id is None else store.checkpoints(run_id)
        known = {one.id for one in kept}
        late = [one for one in self._noted.values() if one.id not in known and one.run_id == run_id and Path(one.path).is_dir()]
        return [*kept, *late]

    def _ranked(self, which: str, kept: list[CheckpointRecord], smaller_is_better: bool | None) -> CheckpointRecord | None:
        """Return the best or the latest of the checkpoints, None if there is none."""
        if which == "best":
            kept = best_first(kept, smaller_is_better=self._smaller_is_better(smaller_is_better))[:1]
        return kept[-1] if kept else None

    def _of_earlier_runs(self, which: str, store: Store, smaller_is_better: bool | None) -> CheckpointRecord | None:
        """Return the latest checkpoint of the newest run of this definition that has one, or the best one of all its runs."""
        mine = self._record()
        found: list[CheckpointRecord] = []
        for run in runs_of_definition(store, mine.entrypoint, mine.definition_root):
            found = [*(one for one in store.checkpoints(run.id) if Path(one.path).is_dir()), *found]
            if found and which == "latest":
                break
        return self._ranked(which, found, smaller_is_better)

    def _smaller_is_better(self, configured: bool | None) -> bool:
        best = self._record().best
        return best.smaller_is_better if best is not None else configured is not False


def _directory(text: str) -> Path | None:
    """Return the directory at a path, None if there is none."""
    with suppress(OSError, ValueError):  # too long for a path, or not text that a path can have
        if Path(text).is_dir():
            return Path(text).absolute()
    return None
