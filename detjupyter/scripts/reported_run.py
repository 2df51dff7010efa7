"""The run of a script that trains with its own loop and only reports. The history keeps it, and views show it live like other runs."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detjupyter.definition.trial import InvalidHP
from detjupyter.engine.ranking import Ranking
from detjupyter.engine.unrecorded import UnrecordedMetrics
from detjupyter.errors import CheckpointError, SessionError, StoreError
from detjupyter.framework.metrics import scalars
from detjupyter.protocol.commands import Command, Stop
from detjupyter.protocol.events import BestChanged, Checkpointed, MetricsReported, StateChanged, Validated
from detjupyter.protocol.origins import Origin
from detjupyter.protocol.records import UNKNOWN_DEVICE, BestRecord, CheckpointRecord, SessionRecord
from detjupyter.protocol.states import State
from detjupyter.session.channel import SessionChannel
from detjupyter.session.kernel import kernel
from detjupyter.session.live_state import LiveState
from detjupyter.session.publisher import EventPublisher
from detjupyter.session.recorder import Recorder
from detjupyter.session.records import new_run
from detjupyter.session.registry import registry
from detjupyter.store import Store, open_store
from detjupyter.store.history import Run
from detjupyter.store.run_ids import new_run_id

_WRITE_LIMIT_S = 10.0


class ReportedRun:
    """A run whose metrics, checkpoints and end a script reports.

    Attributes:
        session_id: The name of the run among the sessions of this process.
        run_id: The id of the run in the history.
        channel: The channel for views. Their stop command sets :attr:`stop_requested`; all other commands are refused.
        stop_requested: Whether the user has asked the script to end.
        has_ended: Whether the script has reported its end.
        directory: The directory for the run's checkpoints.

    Thread: the script's; :attr:`channel` any.
    """

    def __init__(self, name: str, hyperparameters: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self.run_id = new_run_id()
        self.stop_requested = False
        self.has_ended = False
        self._ends_early = False
        self.session_id = registry.free_name(name)
        here = Path.cwd()
        record = SessionRecord(
            self.session_id, self.run_id, self.session_id, here.name, str(here), framework="script", device=UNKNOWN_DEVICE
        )
        self._live = LiveState(record, commands=(Stop.kind,))
        self._recorder = Recorder(self._live.record, self.say, name=self.session_id)
        self._ranking = Ranking()
        self._publisher = EventPublisher(self._live, self._recorder)
        self._unrecorded = UnrecordedMetrics(self._publisher.warn)
        self.channel = SessionChannel(self._publisher.subscribe, self._live.record, self._live.patches, self._live.log, self.send)
        run = new_run(record, self.run_id, seed=0, hyperparameters=hyperparameters, config=config, bundle_hash="", kernel=kernel)
        self._recorder.begin(open_store, replace(run, state=State.RUNNING))
        self._publisher.publish(StateChanged(State.RUNNING, 0))
        registry.add_script(self)

    @property
    def run(self) -> Run:
        """The run in the history, with everything that was reported so far."""
        self._recorder.settle(_WRITE_LIMIT_S)
        return Run(self._store, self.run_id)

    @property
    def best(self) -> BestRecord | None:
        """The best validation so far, None before the first."""
        return self._live.record().best

    @property
    def directory(self) -> Path:
        """The directory for the run's checkpoints. It is created with the first checkpoint."""
        return self._store.home / "checkpoints" / self.run_id

    def report_training(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Record training metrics after ``steps_completed`` batches; a warning names those that are not numbers, each once."""
        self._unrecorded.of_report("training", metrics)
        columns = {name: np.array([value]) for name, value in scalars(metrics).items()}
        self._publisher.publish(MetricsReported(np.array([steps_completed], dtype=np.int64), columns, 0))

    def report_validation(self, steps_completed: int, metrics: Mapping[str, Any]) -> None:
        """Record validation metrics after ``steps_completed`` batches; a warning names those that are not numbers, each once."""
        self._unrecorded.of_report("validation", metrics)
        if steps_completed > self._live.record().batches_trained:  # only training metrics advance the number of trained batches
            self.report_training(steps_completed, {})
        self._publisher.publish(Validated(steps_completed, dict(metrics)))
        if self._ranking.add(metrics, steps_completed) and self._ranking.best is not None:
            self._publisher.publish(BestChanged(self._ranking.best))

    def say(self, text: str) -> None:
        """Add a line to the run's log."""
        self._publisher.say(text)
        self._publisher.notify()

    def checkpointed(self, record: CheckpointRecord) -> None:
        """Record a checkpoint whose files are complete."""
        self._publisher.publish(Checkpointed(record))

    def forget_checkpoint(self, checkpoint_id: str) -> None:
        """Remove a checkpoint from the history, after its files were deleted."""

        def forget() -> None:
            with suppress(CheckpointError, StoreError):  # this history does not contain it
                self._store.delete_checkpoint(checkpoint_id)

        self._recorder.submit(forget)
        self._recorder.settle()

    def record(self) -> SessionRecord:
        """Return the present record of the run, as views show it."""
        return self._live.record()

    def end_early(self, reason: str) -> None:
        """Record why the script ends early. Its final state is then ``stopped`` instead of ``finished``."""
        self._ends_early = True
        self.say(reason)

    def end(self, state: State) -> None:
        """Record the end of the script, with its final state."""
        if self._ends_early and state is State.FINISHED:
            state = State.STOPPED
        self.has_ended = True
        registry.forget_script(self)
        self._publisher.publish(StateChanged(state, self._live.record().batches_trained))
        self._recorder.settle()

    def end_after(self, error: BaseException | None) -> None:
        """Record the end of a script that raised ``error``. A script that was asked to stop may end by ``sys.exit()``."""
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.end(State.STOPPED if self.stop_requested else State.FINISHED)
        elif isinstance(error, InvalidHP):
            self.end_early(f"The script rejects its hyperparameters: {error}")
            self.end(State.STOPPED)
        else:
            self.say(f"{type(error).__name__}: {error}")
            self.end(State.INTERRUPTED if isinstance(error, KeyboardInterrupt) else State.FAILED)

    @property
    def _store(self) -> Store:
        """Return the store of the run.

        Raises:
            StoreError: The store could not be opened in time.
        """
        store = self._recorder.wait_for_store()
        if store is None:
            raise StoreError("The history is not open yet.", hint="Another process may hold its lock; try again.")
        return store

    def send(self, command: Command, origin: Origin | None = None) -> Future[Any]:  # noqa: ARG002 -- a script records no commands
        """Set :attr:`stop_requested` for a stop command; refuse all other commands."""
        answer: Future[Any] = Future()
        if isinstance(command, Stop):
            self.stop_requested = True
            answer.set_result(None)
        else:
            answer.set_exception(
                SessionError(
                    "This script trains with its own loop; the only available command is stop.",
                    state=self.record().state.value,
                    hint="Stop it; the script ends at its next check of should_preempt().",
                )
            )
        return answer
