"""Checkpoints under way: from the copy of a trial's state to the word that its files are complete."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from detjupyter.protocol.records import CheckpointRecord
from detjupyter.training.checkpoints.checkpoint import PendingCheckpoint
from detjupyter.training.checkpoints.writer import CheckpointWriter
from detjupyter.training.loop import Trainee
from detjupyter.training.requests import Write, Written


class Saving:
    """The writes of one session; normally there is one at a time, and the next checkpoint waits for it.

    Args:
        trainee: The trial.
        begin: Copies the trial's state; is told whether the checkpoint is the training's own idea.
        name: The session's, for the thread.
        send: Passes a request on to the driver.

    Thread: the driver's.
    """

    def __init__(
        self, trainee: Trainee, begin: Callable[[bool], PendingCheckpoint], *, name: str, send: Callable[[Written], object]
    ) -> None:
        self._trainee = trainee
        self._begin = begin
        self._send = send
        self._writer = CheckpointWriter(name)
        self._writes: list[Write] = []

    @property
    def is_under_way(self) -> bool:
        """Whether files are being written."""
        return bool(self._writes)

    def save(self, *, automatic: bool) -> CheckpointRecord | None:
        """Copy the state and have it written behind; if the user's code must see the files, write them now and return the record.

        Raises:
            CheckpointError: The state cannot be copied, or the disk does not take what is written now.
        """
        pending = self._begin(automatic)
        if pending.needs_driver:
            return pending.write()
        # From now on this batch counts as saved; should the write fail, it is taken back.
        self._trainee.checkpointed_at = self._trainee.batches_trained
        write = Write(self._trainee.batches_trained)
        self._writes.append(write)
        self._writer.write(pending.write, lambda record, error: self._send(Written(write, record, error)))
        return None

    def wait_with(self, waiting: list[Future[Any]]) -> None:
        """Have ``waiting`` hear of the newest write."""
        self._writes[-1].waiting.extend(waiting)

    def end(self, written: Written) -> bool:
        """Take note of a write that is over; return whether it is one that anybody still cares for."""
        if written.write not in self._writes:
            return False
        self._writes.remove(written.write)
        if written.error is not None and self._trainee.checkpointed_at == written.write.batches_trained:
            self._trainee.checkpointed_at = None
        return True

    def abandon(self) -> list[Future[Any]]:
        """Care for no write any more; return who waited."""
        writes, self._writes = self._writes, []
        return [future for write in writes for future in write.waiting]

    def delete(self, checkpoint: CheckpointRecord) -> None:
        """Delete a checkpoint's files, behind."""
        self._writer.delete(Path(checkpoint.path))
