"""The thread that writes checkpoints while the training goes on."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from detjupyter.protocol.records import CheckpointRecord
from detjupyter.training.checkpoints.files import partial_name

Done = Callable[[CheckpointRecord | None, BaseException | None], object]
"""Called with what was written, or with what was raised."""


class CheckpointWriter:
    """Write checkpoints, and delete them, one after the other, in a thread that lives while there is something to do.

    The thread is a daemon: a process that ends in mid-write leaves a directory that no one takes for a checkpoint.

    Thread: any.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._tasks: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None

    def write(self, write: Callable[[], CheckpointRecord], done: Done) -> None:
        """Have ``write`` called, and ``done`` with what came of it; both in the writer's thread."""

        def task() -> None:
            try:
                record = write()
            except BaseException as error:  # a thread has nobody above it; whoever asked must hear of it
                done(None, error)
            else:
                done(record, None)

        self._add(task)

    def delete(self, directory: Path) -> None:
        """Delete a checkpoint's files: it is gone by its name at once, the files follow."""
        doomed = directory.with_name(partial_name(directory.name))
        with suppress(OSError):  # deleted by somebody else, or not ours to delete
            directory.rename(doomed)
        self._add(lambda: shutil.rmtree(doomed, ignore_errors=True))

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
                    self._thread = None
                    return
                task = self._tasks.popleft()
            task()
