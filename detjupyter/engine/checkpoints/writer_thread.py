"""The background thread that writes checkpoints while the training continues."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from detjupyter.engine.checkpoints.manifest import partial_name
from detjupyter.protocol.records import CheckpointRecord

Done = Callable[[CheckpointRecord | None, BaseException | None], object]
"""Called with the record of the checkpoint, or with the exception that ended its write."""


class CheckpointWriter:
    """Writes and deletes checkpoints one after the other, in a thread that runs while there are tasks.

    The thread is a daemon: if the process ends during a write, it leaves a directory whose name marks it as incomplete.

    Thread: any.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._tasks: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None

    def write(self, write: Callable[[], CheckpointRecord], done: Done) -> None:
        """Call ``write`` and then ``done`` with its result, both in the writer's thread."""

        def task() -> None:
            try:
                record = write()
            except BaseException as error:  # a thread has no caller to handle it; `done` reports it to the engine
                done(None, error)
            else:
                done(record, None)

        self._add(task)

    def delete(self, directory: Path) -> None:
        """Delete a checkpoint: rename its directory at once, and delete the files in the writer's thread."""
        renamed = directory.with_name(partial_name(directory.name))
        with suppress(OSError):  # another process has deleted it, or this one has no permission
            directory.rename(renamed)
        self._add(lambda: shutil.rmtree(renamed, ignore_errors=True))

    def _add(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._tasks.append(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"detjupyter {self._name} writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._thread = None  # under the lock: a task that is added after this starts another thread
                    return
                task = self._tasks.popleft()
            task()
