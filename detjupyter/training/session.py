"""A session: one interactive training of one trial, as a person holds it in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from detjupyter.bundle import FileReport
from detjupyter.definition.config import Config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.errors import SessionBusyError, SessionError, StoreError, TrialError
from detjupyter.protocol.commands import Command, MakeCheckpoint, Pause, Reload, Resume, Step, Stop, Validate
from detjupyter.protocol.records import CardRecord, CheckpointRecord, FloatArray, SessionRecord
from detjupyter.protocol.states import State
from detjupyter.store.history import Run
from detjupyter.store.memory import MemoryStore
from detjupyter.training.announcer import Announcer
from detjupyter.training.board import Board
from detjupyter.training.card import CardKeeper
from detjupyter.training.channel import SessionChannel
from detjupyter.training.checkpoints.checkpoint import restore_checkpoint
from detjupyter.training.checkpoints.kept import KeptCheckpoints
from detjupyter.training.driver import Driver
from detjupyter.training.gpu import GpuMonitor
from detjupyter.training.loaded import Loaded, run_record, session_record
from detjupyter.training.loop import Trainee
from detjupyter.training.output import LogSink
from detjupyter.training.plan import Length, Plan, TrainingOptions
from detjupyter.training.recorder import Recorder
from detjupyter.training.registry import registry
from detjupyter.training.reloading import ReloadReport, compare, replaced_names
from detjupyter.training.requests import Call
from detjupyter.training.snapshot import keep_code

if TYPE_CHECKING:
    from detjupyter.store.base import Store


class Session:
    """One interactive training of one trial.

    Made by :func:`detjupyter.load`. Training runs in one background thread; the methods here return at once or wait for the moment
    between two batches, and an interrupt ends the waiting, not the training.

    Thread: any.
    """

    def __init__(self, loaded: Loaded, *, session_id: str, open_store: Callable[[], Store], reload: Callable[[], Loaded]) -> None:
        self._loaded = loaded
        self._open_store = open_store
        self._reload = reload
        self._cards = CardKeeper()
        self._reload_failure: str | None = None
        self.session_id = session_id
        self._sink = LogSink()
        self._trainee = Trainee(loaded.adapter)
        config = loaded.config
        first = session_record(session_id, loaded)
        self._board = Board(first, metric=config.searcher_metric, smaller_is_better=config.smaller_is_better)
        self._recorder = Recorder(self._board.record, self._sink.say)
        self._checkpoints = KeptCheckpoints(self._trainee, self._board, self._recorder, lambda: self._loaded, self._sink.say)
        announcer = Announcer(self._board, self._recorder, self._sink, GpuMonitor(loaded.adapter.gpu_uuid))
        self._driver = Driver(
            self._trainee,
            self._board,
            announcer,
            name=session_id,
            roots=loaded.roots,
            begin_checkpoint=self._checkpoints.begin,
            keep_checkpoint=self._checkpoints.keep,
            surroundings=lambda: self._loaded.usage.active(),
        )
        self.channel = SessionChannel(announcer.subscribe, self._board.record, self._board.patches, self._board.log, self.send)

    def __repr__(self) -> str:
        what = f"{self._loaded.trial_class.entrypoint} on {self._loaded.adapter.device}"
        return f"<Session {self.session_id}: {what}, {self.state}, {self.batches_trained:,} batches trained>"

    # --- what it is ---------------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``ready``, ``running``, ``paused``, ``finished``, ``stopped`` or ``failed``."""
        return self._driver.state.value

    @property
    def is_busy(self) -> bool:
        """Whether a training is under way, running or paused."""
        return self._driver.is_busy

    @property
    def batches_trained(self) -> int:
        """How many batches the trial was trained on."""
        return self._trainee.batches_trained

    @property
    def error(self) -> TrialError | None:
        """What the user's code raised last, if the session is ``failed``."""
        return self._driver.error

    @property
    def trial(self) -> Any:
        """The user's trial object."""
        return self._loaded.adapter.trial

    @property
    def context(self) -> Any:
        """The trial's context object."""
        return self._loaded.adapter.context

    @property
    def definition(self) -> ModelDefinition:
        """The model definition that was loaded."""
        return self._loaded.definition

    @property
    def run(self) -> Run | None:
        """The durable record of this session; None before its first batch."""
        if self._recorder.store is None or self._recorder.run_id is None:
            return None
        self._recorder.flush()
        return Run(self._recorder.store, self._recorder.run_id)

    @property
    def config(self) -> Config:
        """The configuration that the trial was built with."""
        return self._loaded.config

    @property
    def has_planned_length(self) -> bool:
        """Whether the configuration says how long to train, and the trial is not through with it."""
        length = self.config.settings.searcher_length
        if length is None:
            return False
        per = {"batches": 1, "epochs": self.record().batches_per_epoch or 0, "records": 0}[length.unit]
        return self.batches_trained < length.amount * per or self.batches_trained == 0

    def record(self) -> SessionRecord:
        """Return the session at this moment: state, progress, speed, newest metrics."""
        return self._board.record()

    def metrics(self, name: str, group: str = "training") -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return (batches, values), (N,) int64 and (N,) float64, of one metric.

        ``batches`` is the number of batches trained when a value was taken: the first training point has 1. The group ``training`` has
        one point for every batch, ``validation`` one for every validation.

        Raises:
            SessionError: there is no such metric.
        """
        run = self.run
        names = run.metric_names(group) if run is not None else []
        if run is None or name not in names:
            raise SessionError(f"There is no {group} metric {name!r} yet.", hint=f"There are: {', '.join(names) or 'none'}.")
        return run.metrics(name, group)

    def card(self) -> CardRecord:
        """Return what was loaded: class, device, hyperparameters and their origins, the files, and what has come apart since."""
        card = self._cards.card(self._loaded)
        return card if self._reload_failure is None else replace(card, notes=(*card.notes, self._reload_failure))

    def files(self) -> FileReport:
        """Return the files of the definition as the card counts them."""
        return self._cards.report(self._loaded)

    def watched_directories(self) -> list[str]:
        """Return the directories in which an edit would concern what is loaded: the root, and those of the modules imported."""
        root = self.definition.root
        directories = {root, *((root / name).parent for name in self._loaded.trial_class.scope.sources())}
        return sorted(str(directory) for directory in directories if directory.is_dir())

    # --- what it does -------------------------------------------------------------------------------------------------------------

    def train(
        self,
        *,
        batches: int | None = None,
        epochs: int | None = None,
        records: int | None = None,
        validate_every: Length | None = None,
        checkpoint_every: Length | None = None,
        stop_at_nan: bool = False,
        wait: bool = False,
    ) -> None:
        """Train for one of ``batches``, ``epochs`` and ``records`` more, in the background; without a length, as the configuration says.

        ``validate_every`` and ``checkpoint_every`` are periods in batches, or ``dj.Batch(n)`` or ``dj.Epoch(n)``. What is not given is
        the configuration's (``min_validation_period``, ``min_checkpoint_period``, ``searcher.max_length``, …). Trainings counted in epochs
        validate after each of them by default; every training ends with a validation and a checkpoint. A metric that is NaN or infinite is
        shown as such and no error, unless ``stop_at_nan``. With ``wait`` this returns when
        the training is over; an interrupt then pauses it.

        Raises:
            SessionBusyError: a training is under way.
            SessionError: the length makes no sense.
            TrialError: with ``wait``, the trial's code raised.
        """
        asked = TrainingOptions.of(batches=batches, epochs=epochs, records=records)
        asked = replace(asked, validate_every=validate_every, checkpoint_every=checkpoint_every, stops_at_nan=stop_at_nan)
        options = asked.with_defaults(self.config.settings)
        self.train_as(options, wait=wait)

    def train_as(self, options: TrainingOptions, *, wait: bool = False) -> None:
        """Train as ``options`` say and nothing else does; see :meth:`train`."""
        options.check()

        def plan() -> Plan:
            adapter = self._trainee.adapter
            return options.plan(
                trained=self._trainee.batches_trained,
                batches_per_epoch=adapter.batches_per_epoch,
                records_per_batch=adapter.records_per_batch,
            )

        self._require_run()
        self._driver.train(plan)
        if wait:
            try:
                self.wait()
            except KeyboardInterrupt:
                with suppress(SessionError):  # it was over at that moment
                    self.pause()
                raise

    def pause(self) -> None:
        """Hold the training after the batch under way.

        Raises:
            SessionError: nothing is training.
        """
        self._ask(Pause())

    def resume(self) -> None:
        """Go on with a paused training.

        Raises:
            SessionError: there is none.
        """
        self._ask(Resume())

    def step(self, n: int = 1) -> None:
        """Train ``n`` more batches, then pause; return when they are trained.

        Raises:
            SessionError: ``n`` is not positive, or the training was stopped meanwhile.
            TrialError: the trial's code raised.
        """
        if type(n) is not int or n < 1:
            raise SessionError(f"A step is at least one batch, not {n!r}.")
        self._ask(Step(n))

    def stop(self) -> None:
        """End the training after the batch under way; weights and history stay, and :meth:`train` goes on from here."""
        self._ask(Stop())

    def wait(self, timeout_s: float | None = None) -> str:
        """Block while the training runs (a paused one does not), at most ``timeout_s`` seconds; return the state then.

        Raises:
            TrialError: the trial's code raised.
        """
        state = self._driver.wait(timeout_s)
        if state is State.FAILED and self.error is not None:
            raise self.error.with_traceback(None)
        return state.value

    def validate(self) -> dict[str, Any]:
        """Validate now and return the metrics.

        Raises:
            TrialError: the trial's code raised.
        """
        metrics: dict[str, Any] = self._ask(Validate())
        return metrics

    def checkpoint(self) -> CheckpointRecord:
        """Save the trial as it is now, and return where it is when it is complete on disk; a training under way goes on meanwhile.

        Raises:
            CheckpointError: the disk does not take it.
        """
        record: CheckpointRecord = self._ask(MakeCheckpoint())
        return record

    def restore(self, checkpoint: CheckpointRecord | str | Path, *, trust: bool = False) -> None:
        """Put the trial back to a checkpoint.

        Args:
            checkpoint: A record, the id of one, its directory (of any Determined since 0.12, too), or ``"latest"`` or ``"best"`` for
                this session's.
            trust: Whether objects of any class may be unpickled, which can run any code. Some checkpoints of Determined hold such.

        Raises:
            SessionBusyError: a training is under way.
            CheckpointError: it is missing, damaged, or of another class.
            UntrustedCheckpointError: it needs trust.
        """
        self._require_idle("restore a checkpoint")
        self._driver.wait_for_files()
        directory = self._checkpoints.find(checkpoint, self._open_store)

        def restore() -> None:
            self._require_idle("restore a checkpoint")  # somebody may have begun something meanwhile
            restore_checkpoint(self._trainee, directory, trust=trust)
            self._board.move_to(self._trainee.batches_trained, self._trainee.records_trained)

        self._driver.ask(Call(restore))

    def reload(self) -> ReloadReport:
        """Import the edited definition, build its trial and go on with the same weights; if anything fails, all stays as it was.

        Returns:
            The files, classes, functions and hyperparameters that have changed.

        Raises:
            DefinitionError, TrialError: the edited code does not load.
            CheckpointError: the weights do not fit the edited model.
        """
        loaded = self._reload()
        self._cards.card(loaded)  # the files as they are now; reading them is not for the thread that trains

        def swap() -> ReloadReport:
            before = self._loaded
            try:
                loaded.adapter.adopt(before.adapter)
            except BaseException:
                loaded.release()
                raise
            report = compare(before, loaded, self.batches_trained)
            self._trainee.adapter = loaded.adapter
            self._loaded = loaded
            self._reload_failure = None
            before.adapter.release()
            before.trial_class.scope.release(replaced_names(report))
            before.usage.close()
            if self._recorder.has_run():
                self._keep_code()
            for line in str(report).splitlines():
                self._sink.say(line)
            return report

        report: ReloadReport = self._driver.ask(Call(swap))
        return report

    def at_batch(self, function: Callable[[Any], Any]) -> Any:
        """Call ``function(trial)`` between two batches, in the training's thread, and return what it returns."""
        return self._driver.ask(Call(lambda: function(self.trial)))

    def close(self, state: State = State.STOPPED) -> None:
        """End what is under way and let go of the data loaders; the session's history stays. May be called twice."""
        if self._driver.close(state):
            self._trainee.adapter.release()
            self._shut_down()
        self._loaded.usage.close()
        self._recorder.flush()
        registry.forget(self)

    def _shut_down(self) -> None:
        try:
            with self._loaded.usage.active():
                self._trainee.adapter.shut_down()
        except Exception as error:  # the user's code, of a trial that nobody wants any more
            self._sink.say(f"The trial's shutdown failed with {type(error).__name__}: {error}")

    # --- inside -------------------------------------------------------------------------------------------------------------------

    def send(self, command: Command) -> Future[Any]:
        """Ask for ``command`` without waiting; the future tells what came of it."""
        if isinstance(command, Reload):
            return self._reload_in_background()
        if isinstance(command, (Step, Validate, MakeCheckpoint)):
            self._require_run()
        return self._driver.send(command)

    def _reload_in_background(self) -> Future[Any]:
        """Reload in a thread of its own: whoever asks from afar (the panel) must not wait for an import."""
        future: Future[Any] = Future()

        def reload() -> None:
            try:
                future.set_result(self.reload())
            except Exception as error:  # nobody may be waiting any more, so the card says it too
                self._reload_failure = f"The reload at {time.strftime('%H:%M:%S')} failed, all is as it was: {error}"
                future.set_exception(error)

        threading.Thread(target=reload, name=f"detjupyter reload {self.session_id}", daemon=True).start()
        return future

    def _ask(self, command: Command) -> Any:
        if isinstance(command, (Step, Validate, MakeCheckpoint)):
            self._require_run()
        return self._driver.ask(command)

    def _require_run(self) -> None:
        if not self._recorder.has_run():
            self._driver.send(Call(self._begin_run))

    def _require_idle(self, doing: str) -> None:
        if self.is_busy:
            raise SessionBusyError(
                f"Cannot {doing} while the session is {self.state}.", state=self.state, hint="`%det_stop` ends the training."
            )
        if self._driver.is_validating:
            raise SessionBusyError(f"Cannot {doing} during a validation.", state=self.state, hint="`%det_stop` ends it.")

    def _begin_run(self) -> None:
        """Create the run in the history: the first time something is trained, validated or saved, and when it was deleted since.

        Thread: the driver's.
        """
        if self._recorder.has_run():
            return
        run = run_record(self.record(), self._loaded, bundle_hash=self.card().bundle_hash, kernel_id=registry.kernel_id)
        try:
            self._recorder.begin(self._open_store(), run)
        except StoreError as error:
            self._sink.say(f"The history is not kept: {error}")
            self._recorder.begin(MemoryStore(), run)
        self._board.begin_run(run.id)
        self._keep_code()

    def _keep_code(self) -> None:
        """Keep the code that is loaded with the run.

        Thread: the driver's.
        """
        store, run_id = self._recorder.store, self._recorder.run_id
        if store is None or run_id is None:
            return
        self._checkpoints.use_code(None)
        report = self.files()
        try:
            keep_code(store, run_id, report, self._loaded.trial_class.scope, self.batches_trained)
            self._checkpoints.use_code(report.hash)
        except StoreError as error:
            self._sink.say(f"The code of the run is not kept: {error}")
