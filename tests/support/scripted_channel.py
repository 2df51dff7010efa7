"""A real channel without a trial behind it: the curves, the log and the commands of a training that runs to a script."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np

from detjupyter.errors import SessionError
from detjupyter.protocol.commands import Command, Pause, Resume, Stop
from detjupyter.protocol.records import LogLine, SeriesPatch, SessionRecord
from detjupyter.protocol.states import Activity, Group, State
from detjupyter.store.series import SessionCurves

READY = SessionRecord(
    "s1", "r1", "model_def:Scripted", "scripted", "/there", "pytorch", "cpu", State.READY, Activity.IDLE, 0, 0, 100, None, None, None, None,
    None, None, 0.0, None,
)  # fmt: skip


class ScriptedChannel:
    """Simulates ``batches`` batches of ``seconds`` each, with a report after each ``report_every``; pauses and stops on command."""

    def __init__(self, batches: int, seconds: float = 0.01, report_every: int = 1, *, failing: bool = False) -> None:
        self.obeyed: list[tuple[str, float, str]] = []
        self._batches, self._seconds, self._report_every, self._failing = batches, seconds, report_every, failing
        self._board = SessionCurves()
        self._record = replace(READY, plan_start_batches=0, plan_target_batches=batches)
        self._lines: list[LogLine] = []
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._going = threading.Event()
        self._going.set()
        self._stopping = False
        self._thread = threading.Thread(target=self._train, name="scripted training", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._change(state=State.RUNNING)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the script has ended."""
        self._thread.join(60)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See Channel; the listener runs in the thread."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def record(self) -> SessionRecord:
        """See Channel."""
        return self._record

    def patches(self, cursors: Any) -> list[SeriesPatch]:
        """See Channel."""
        with self._lock:
            return self._board.patches(cursors)

    def log(self, after: int) -> tuple[int, tuple[LogLine, ...]]:
        """See Channel."""
        return len(self._lines), tuple(self._lines[after:])

    def send(self, command: Command) -> Future[Any]:
        """Obey pause, resume and stop at once; refuse the others."""
        self.obeyed.append((command.kind, time.time(), threading.current_thread().name))
        future: Future[Any] = Future()
        if isinstance(command, Pause):
            self._going.clear()
            self._change(state=State.PAUSED)
        elif isinstance(command, Resume):
            self._change(state=State.RUNNING)
            self._going.set()
        elif isinstance(command, Stop):
            self._stopping = True
            self._going.set()
        else:
            future.set_exception(SessionError(f"{command.kind} is not in the script.", state="running", hint="Ask for something else."))
            return future
        future.set_result(None)
        return future

    def _train(self) -> None:
        for batch in range(1, self._batches + 1):
            self._going.wait()
            if self._stopping:
                break
            time.sleep(self._seconds)
            with self._lock:
                self._board.extend(Group.TRAINING, "loss", [batch], [np.nan if batch == 3 else 1 / batch])
                if batch % 50 == 0:
                    self._board.extend(Group.VALIDATION, "val_loss", [batch], [2 / batch])
            self._lines.append(LogLine(time.time(), "stdout", f"batch {batch}"))
            self._record = replace(self._record, batches_trained=batch)
            if batch % self._report_every == 0:
                self._tell()
        self._change(state=State.FAILED if self._failing else State.STOPPED if self._stopping else State.FINISHED)

    def _change(self, **changes: Any) -> None:
        self._record = replace(self._record, **changes)
        self._tell()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()
