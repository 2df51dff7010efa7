"""A run of a script that trains by itself and only reports: kept in the history, and shown live like any other."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detjupyter.errors import CheckpointError, SessionError, StoreError
from detjupyter.protocol.commands import Command, Stop
from detjupyter.protocol.events import Checkpointed, MetricsReported, StateChanged, Validated
from detjupyter.protocol.records import BestRecord, CheckpointRecord, RunRecord, SessionRecord
from detjupyter.protocol.states import State
from detjupyter.store import open_store
from detjupyter.store.history import Run
from detjupyter.store.memory import MemoryStore
from detjupyter.training.announcer import Announcer
from detjupyter.training.board import Board
from detjupyter.training.channel import SessionChannel
from detjupyter.training.gpu import GpuMonitor
from detjupyter.training.loaded import new_run, new_run_id
from detjupyter.training.metrics import scalars
from detjupyter.training.output import LogSink
from detjupyter.training.recorder import Recorder
from detjupyter.training.registry import registry

_UNKNOWN = "—"  # which device the script uses is its own affair


class ReportedRun:
    """What a script reports: metrics, checkpoints, how it ended.

    Attributes:
        session_id: Its name among the sessions of this process.
        run_id: The run in the history.
        channel: What a view reads; its stop button sets :attr:`stop_requested`, all else it asks for is refused.
        stop_requested: Whether somebody wants the script to end.
        has_ended: Whether it has.
        directory: Where the run's checkpoints are kept.

    Thread: one, that of the script; the channel in any.
    """

    def __init__(self, name: str, hyperparameters: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self.run_id = new_run_id()
        self.stop_requested = False
        self.has_ended = False
        self._ends_early = False
        self._sink = LogSink()
        self.session_id = registry.free_name(name)
        here = Path.cwd()
        record = SessionRecord(self.session_id, self.run_id, self.session_id, here.name, str(here), framework="script", device=_UNKNOWN)
        self._board = Board(record, metric=None, smaller_is_better=None)
        self._recorder = Recorder(self._board.record, self._sink.say)
        self._announcer = Announcer(self._board, self._recorder, self._sink, GpuMonitor(None))
        self.channel = SessionChannel(self._announcer.subscribe, self._board.record, self._board.patches, self._board.log, self.send)
        run = new_run(
            record, self.run_id, seed=0, hyperparameters=hyperparameters, config=config, bundle_hash="", kernel_id=registry.kernel_id
        )
        self._begin(replace(run, state=State.RUNNING))
        self._announcer.turn(StateChanged(State.RUNNING, 0))
        registry.add_script(self)

    @property
    def run(self) -> Run:
        """The run in the history, up to date."""
        self._recorder.flush()
        assert self._recorder.store is not None  # begun in __init__
        return Run(self._recorder.store, self.run_id)

    @property
    def best(self) -> BestRecord | None:
        """The best validation so far."""
        return self._board.record().best

    @property
    def directory(self) -> Path:
        """Where the run's checkpoints are kept; made when something is put there."""
        assert self._recorder.store is not None
        return self._recorder.store.home / "checkpoints" / self.run_id

    def report_training(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep training metrics; those that are no numbers are left out."""
        columns = {name: np.array([value]) for name, value in scalars(metrics).items()}
        self._announcer.tell(MetricsReported(np.array([steps_completed], dtype=np.int64), columns, 0))

    def report_validation(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Keep validation metrics."""
        if steps_completed > self._board.record().batches_trained:
            self.report_training(steps_completed, {})
        self._announcer.tell(Validated(steps_completed, dict(metrics)))

    def say(self, text: str) -> None:
        """Add a line to the run's log."""
        self._sink.say(text)
        self._announcer.turn()

    def checkpointed(self, record: CheckpointRecord) -> None:
        """Keep note of a checkpoint whose files are complete."""
        self._announcer.turn(Checkpointed(record))

    def forget_checkpoint(self, checkpoint_id: str) -> None:
        """Take a checkpoint, whose files are deleted, out of the history."""
        self._recorder.flush()
        assert self._recorder.store is not None  # begun in __init__
        with suppress(CheckpointError, StoreError):  # of another history, or none of it
            self._recorder.store.delete_checkpoint(checkpoint_id)

    def record(self) -> SessionRecord:
        """Return how it stands."""
        return self._board.record()

    def end_early(self, reason: str) -> None:
        """Note why the script is not going to be through; it counts as stopped when it ends."""
        self._ends_early = True
        self.say(reason)

    def end(self, state: State) -> None:
        """Write down how it ended."""
        if self._ends_early and state is State.FINISHED:
            state = State.STOPPED
        self.has_ended = True
        registry.forget_script(self)
        self._announcer.turn(StateChanged(state, self._board.record().batches_trained))

    def send(self, command: Command) -> Future[Any]:
        """Take note that it shall stop; refuse all else."""
        answer: Future[Any] = Future()
        if isinstance(command, Stop):
            self.stop_requested = True
            answer.set_result(None)
        else:
            answer.set_exception(
                SessionError("This script trains by itself; it can only be asked to stop.", hint="Stop it: it ends where it asks for that.")
            )
        return answer

    def _begin(self, run: RunRecord) -> None:
        try:
            self._recorder.begin(open_store(), run)
        except StoreError as error:
            self._sink.say(f"The history is not kept: {error}")
            self._recorder.begin(MemoryStore(), run)
