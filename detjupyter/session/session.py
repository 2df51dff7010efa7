"""A session: one interactive training of one trial, the object that the user works with."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from detjupyter.bundle import FileReport
from detjupyter.definition.config import Config
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.engine.engine import Engine, Publish
from detjupyter.engine.plan import check, training, with_defaults
from detjupyter.engine.refusals import closed
from detjupyter.engine.reload_report import ReloadReport, compare
from detjupyter.errors import ArgumentError, LengthError, SessionError, TrialError
from detjupyter.next_step import NextStep, worded
from detjupyter.protocol.commands import (
    AtBatch,
    AwaitFiles,
    Command,
    CommandMessage,
    ForceClose,
    MakeCheckpoint,
    Pause,
    Reload,
    Restore,
    Resume,
    Step,
    Stop,
    Train,
    Validate,
)
from detjupyter.protocol.events import Closed, StateChanged
from detjupyter.protocol.lengths import Length
from detjupyter.protocol.origins import Origin, default_origin
from detjupyter.protocol.records import CardRecord, CheckpointRecord, FloatArray, SessionRecord
from detjupyter.protocol.states import State
from detjupyter.session.ancestry import AncestorCurves
from detjupyter.session.channel import SessionChannel
from detjupyter.session.end_calls import EndCalls
from detjupyter.session.live_state import LiveState
from detjupyter.session.publisher import EventPublisher
from detjupyter.session.run_keeper import RunKeeper
from detjupyter.session.sender import CommandSender
from detjupyter.session.source_text import source_of
from detjupyter.session.stuck_watch import StuckWatch
from detjupyter.session.waiting import Echo, Waiting
from detjupyter.store.history import Run
from detjupyter.text import one_line, printable, shortened

if TYPE_CHECKING:
    from detjupyter.store.base import Store

PAUSE_LIMIT_S = 2.0
"""An interrupt of a waiting cell waits this long for the pause."""
_WRITE_LIMIT_S = 10.0
"""How long the end of a wait, and the access to the run, take at most until the history has everything; less while the history fails."""

_logger = logging.getLogger("detjupyter")


class Session:
    """One interactive training of one trial.

    Created by :func:`detjupyter.load`. The trial runs in an engine, in a separate thread. The methods of a session return at once or wait
    until the current batch has ended; an interrupt ends the waiting, not the training.

    Thread: any except the engine's own, which cannot wait for itself.
    """

    def __init__(
        self,
        definition: ModelDefinition,
        open_engine: Callable[[Publish], Engine],
        *,
        session_id: str,
        open_store: Callable[[], Store],
        entrypoint: str = "",
    ) -> None:
        self.session_id = session_id
        first = SessionRecord(session_id, None, entrypoint, definition.name, str(definition.root), framework="", device="")
        self._live = LiveState(first)
        # A local variable, because the keeper must not refer to the session (see RunKeeper), and the publisher needs its recorder.
        self._keeper = RunKeeper(session_id, self._live, lambda text: self_publisher.say(text), open_store)
        self_publisher = self._publisher = EventPublisher(self._live, self._keeper.recorder, self._keeper.react)
        self._engine = open_engine(self._publisher.receive)
        self._keeper.connect(self._engine.send, self._publisher.publish)
        self._waiting = Waiting(self._engine, self._publisher)
        self._watch = StuckWatch(session_id, self._publisher.quiet_s, self._engine.stack, self._publisher.show_stuck)
        self._publisher.react_with(self._watch.react)
        self._end_calls = EndCalls(session_id)
        self._publisher.react_with(self._end_calls.react)
        self._sender = CommandSender(self._engine, self._live, self._keeper, self._publisher, self._waiting, self._watch)
        # A local variable, not `self`: the engine keeps this callback as long as its thread lives, and must not keep the session.
        publish = self._publisher.publish
        self._publisher.react_with(AncestorCurves(self._live, open_store, self._publisher.notify, self._publisher.say).react)
        self._engine.ended.add_done_callback(lambda _: publish(Closed()))  # the engine may end on its own
        self._is_closed = False
        self._forgetters: tuple[Callable[[Session], object], ...] = ()
        finalizer = weakref.finalize(self, self._engine.close_soon)
        finalizer.atexit = False  # at the end of the process the registry closes sessions
        # Until then weakref refers to the engine, which refers to the listeners: one that uses the session would keep it alive forever.
        self._engine.ended.add_done_callback(lambda _: finalizer.detach())
        self.channel = SessionChannel(
            self._publisher.subscribe,
            self._live.record,
            self._live.patches,
            self._live.log,
            lambda command: _forward(weak, command),
        )
        weak = weakref.ref(self)

    def __repr__(self) -> str:
        record = self.record()
        what = f"{record.entrypoint} on {record.device}"
        count = len(record.warnings) + record.more_warnings
        warned = f", {count} {'warning' if count == 1 else 'warnings'}" if count else ""
        return one_line(f"<Session {self.session_id}: {what}, {record.state.value}, {record.batches_trained:,} batches trained{warned}>")

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``ready``, ``running``, ``paused``, ``finished``, ``stopped`` or ``failed``."""
        return self.record().state.value

    @property
    def is_busy(self) -> bool:
        """Whether a training is running or paused."""
        return self._live.situation().is_busy

    @property
    def is_closed(self) -> bool:
        """Whether the session is closed and accepts no commands."""
        return self._is_closed or self._engine.ended.done()

    @property
    def allowed(self) -> tuple[str, ...]:
        """The kinds of command that have an effect now."""
        return self.record().allowed

    @property
    def batches_trained(self) -> int:
        """The number of batches trained, as of the last report."""
        return self.record().batches_trained

    @property
    def error(self) -> TrialError | None:
        """The last error of the user's code, if the session is ``failed``."""
        return self._keeper.error

    @property
    def trial(self) -> Any:
        """The user's trial object.

        Raises:
            SessionError: The session is closed, or its engine is in another process.
        """
        return self._engine.trial

    @property
    def context(self) -> Any:
        """The trial's context object; raises like :attr:`trial`."""
        return self._engine.context

    @property
    def definition(self) -> ModelDefinition:
        """The model definition that was loaded."""
        return self._keeper.loaded.definition

    @property
    def run(self) -> Run | None:
        """The durable record of this session; None before its first batch.

        Raises:
            StoreBusyError: Another process has kept the history locked for ten seconds, so that the run is not in it yet.
        """
        recorder = self._keeper.recorder
        store, run_id = recorder.wait_for_run(), recorder.run_id
        if store is None or run_id is None:
            return None
        recorder.settle(_WRITE_LIMIT_S, tries_again=True)
        return Run(store, run_id)

    @property
    def config(self) -> Config:
        """The configuration that the trial was built with."""
        return self._keeper.loaded.config

    @property
    def has_planned_length(self) -> bool:
        """Whether the configuration sets a training length that the trial has not reached yet."""
        length = self.config.settings.searcher_length
        if length is None:
            return False
        record = self.record()
        per = {"Batch": 1, "Epoch": record.batches_per_epoch or 0, "Records": 0}[type(length).__name__]
        value = length.value
        return record.batches_trained == 0 or (isinstance(value, int) and record.batches_trained < value * per)

    def record(self) -> SessionRecord:
        """Return the current state of the session: state, progress, speed, newest metrics."""
        return self._live.record()

    def metrics(self, name: str, group: str = "training") -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return (batches, values), (N,) int64 and (N,) float64, of one metric.

        ``batches`` is the number of batches trained at each value: 1 for the first training point. The group ``training`` has one point
        for every batch, ``validation`` one for every validation.

        Raises:
            ArgumentError: There is no such metric yet.
            StoreBusyError: As for :attr:`run`.
        """
        run = self.run
        names = run.metric_names(group) if run is not None else []
        if run is None or name not in names:
            raise ArgumentError(f"There is no {group} metric {name!r} yet.", hint=f"Available metrics: {', '.join(names) or 'none'}.")
        return run.metrics(name, group)

    def card(self) -> CardRecord:
        """Return the card: class, device, hyperparameters and their origins, the files, and how the code differs from the disk now."""
        card, record = self._keeper.card(), self.record()
        warnings = tuple(dict.fromkeys((*card.warnings, *record.warnings)))
        card = replace(card, hyperparameter_changes=record.hyperparameter_changes, warnings=warnings)
        failure = self._sender.reload_failure
        return card if failure is None else replace(card, notes=(*card.notes, failure))

    def files(self) -> FileReport:
        """Return the files of the definition, as in the card."""
        return self._keeper.files()

    def watched_directories(self) -> list[str]:
        """Return the directories in which an edit affects the loaded code."""
        return self._keeper.loaded.watched_directories()

    # What it does ----------------------------------------------------------------------------------------------------

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
        on_done: Callable[[Session], object] | None = None,
    ) -> None:
        """Train in the background for a further number of ``batches``, ``epochs`` or ``records``, or for the length in the configuration.

        ``validate_every`` and ``checkpoint_every`` are periods in batches, or ``dj.Batch(n)`` or ``dj.Epoch(n)``. The defaults come from
        the configuration (``min_validation_period``, ``min_checkpoint_period``, ``searcher.max_length``, …). Trainings counted in epochs
        validate after each epoch by default; every training ends with a validation and a checkpoint. A metric that is NaN or infinite is
        recorded, and ends the training with an error only with ``stop_at_nan``. With ``wait``, this method returns when the training has
        ended; an interrupt then pauses the training. ``on_done`` is called with the session when the training has ended in any way, in a
        thread of its own.

        Raises:
            SessionBusyError: A training is under way.
            LengthError: A length or a period is not positive, or cannot be counted.
            ArgumentError: ``on_done`` is not a function.
            SessionError: The session is closed.
            TrialError: With ``wait``, the trial's code raised.
        """
        if on_done is not None and not callable(on_done):
            raise ArgumentError(f"on_done must be a function that takes the session, not {shortened(repr(on_done), 100)}.")
        asked = training(batches=batches, epochs=epochs, records=records)
        asked = replace(asked, validate_every=validate_every, checkpoint_every=checkpoint_every, stops_at_nan=stop_at_nan)
        with self._end_calls.at_the_end(None if on_done is None else lambda: on_done(self)):
            self.train_as(with_defaults(asked, self.config.settings), wait=wait)

    def train_as(self, command: Train, *, wait: bool = False) -> None:
        """Train as ``command`` says, regardless of the configuration; see :meth:`train`."""
        check(command)
        with self.awaited() if wait else nullcontext():  # from the first batch on
            self._sender.ask(command)
            if not wait:
                return
            try:
                self.wait()
            except KeyboardInterrupt:
                self.pause_soon()
                raise

    def pause(self) -> None:
        """Pause the training after the current batch.

        Raises:
            SessionError: Nothing is training.
        """
        self._sender.ask(Pause())

    def pause_soon(self, limit_s: float = PAUSE_LIMIT_S) -> bool:
        """Ask for a pause after the current batch and wait at most ``limit_s`` seconds for it; return whether the training is paused.

        A training that has just ended is left alone.
        """
        with suppress(SessionError, TimeoutError):
            self.send(Pause()).result(limit_s)
        return self.state == State.PAUSED

    def resume(self) -> None:
        """Resume a paused training.

        Raises:
            SessionError: There is none.
        """
        self._sender.ask(Resume())

    def step(self, n: int = 1) -> None:
        """Train ``n`` more batches, then pause; return after the last one.

        Raises:
            LengthError: ``n`` is not positive.
            SessionError: The training was stopped.
            TrialError: The trial's code raised.
        """
        if type(n) is not int or n < 1:
            raise LengthError(f"A step is at least one batch, not {n!r}.")
        self._sender.ask(Step(n))

    def stop(self) -> None:
        """End the training after the current batch; weights and history are kept, and :meth:`train` continues from here."""
        self._sender.ask(Stop())

    def wait(self, timeout_s: float | None = None) -> str:
        """Wait until the training ends or is paused, at most ``timeout_s`` seconds; return the state then.

        Raises:
            TrialError: The trial's code raised.
        """
        self._waiting.require_other_thread()
        state = self._waiting.while_running(timeout_s)
        if state is not State.RUNNING:
            self._keeper.recorder.settle(_WRITE_LIMIT_S)
        if state is State.FAILED and self.error is not None:
            raise self.error.with_traceback(None)
        return state.value

    def awaited(self) -> AbstractContextManager[None]:
        """Return a context manager for a cell that only waits for the trial: what changes in the process inside is the trial's work."""
        return self._engine.awaited()

    def validate(self) -> dict[str, Any]:
        """Validate now and return the metrics.

        Raises:
            TrialError: The trial's code raised.
        """
        metrics: dict[str, Any] = self._sender.ask(Validate())
        return metrics

    def checkpoint(self) -> CheckpointRecord:
        """Save a checkpoint now and return its record when its files are complete; a training continues while they are written.

        Raises:
            CheckpointError: The checkpoint cannot be written.
        """
        record: CheckpointRecord = self._sender.ask(MakeCheckpoint())
        return record

    def restore(self, checkpoint: CheckpointRecord | str | Path, *, trust: bool = False) -> Path:
        """Restore the trial from a checkpoint.

        Args:
            checkpoint: A record, an id, a directory (checkpoints of Determined since 0.12 are supported), or ``"latest"`` or ``"best"``
                for one of this session, or of the earlier runs of this definition if this session has none.
            trust: Whether objects of any class may be unpickled, which can run any code. Checkpoints of your own kernels need no trust;
                some of others, and of Determined, do.

        Returns:
            The directory of the checkpoint.

        Raises:
            SessionBusyError: A training is under way.
            CheckpointError: The checkpoint is missing, damaged, or of another class.
            UntrustedCheckpointError: The checkpoint needs ``trust``.
        """
        # First: the next two lines wait for the engine and for the history.
        self._sender.refuse_at_once(CommandMessage(Restore(str(checkpoint), trust)))
        self._sender.ask(AwaitFiles())  # the latest checkpoint can be one whose files are still being written
        directory = self._keeper.find_checkpoint(checkpoint)
        notice = self._sender.ask(Restore(str(directory), trust))
        if notice is not None:
            _logger.warning("%s", worded(notice))
        return directory

    def reload(self) -> ReloadReport:
        """Import the edited definition, build its trial and continue with the same weights; if anything fails, nothing changes.

        Returns:
            The files, classes, functions and hyperparameters that have changed.

        Raises:
            DefinitionError, TrialError: The edited code does not load.
            CheckpointError: The weights do not fit the edited model.
        """
        before, now = self._sender.ask(Reload())
        self._sender.reload_failure = None
        self.card()  # scan the files now: they belong to the loaded code
        return compare(before, now, self.batches_trained)

    def at_batch(self, function: Callable[[Any], Any]) -> Any:
        """Call ``function(trial)`` between two batches, in the engine's thread, and return its result.

        The run records the source of the function.
        """
        if not callable(function):
            raise SessionError(f"at_batch needs a function of the trial, not {function!r}.", hint="For example: `lambda trial: trial.lr`.")
        return self._sender.ask(AtBatch(source_of(function), function))

    def close(self, state: State = State.STOPPED, *, force: bool = False) -> None:
        """End the training and release the trial, its data and its memory; the run is kept. May be called twice.

        Args:
            state: The state that a running or paused training gets.
            force: Whether to skip waiting for a batch that does not end: the run is recorded as interrupted at once. The thread ends if
                possible; if not (a deadlock in a C library), its memory is not released.
        """
        # First, so that commands are refused from now on, and do not wait for the last batch.
        self._is_closed = True
        self._publisher.publish(Closed())
        if force:
            self._force_close()
        # The engine's own thread cannot wait for itself: it ends after this call.
        elif not self._engine.close(state) and not self._engine.is_own_thread:
            self._warn_not_closed()
            return
        self._keeper.recorder.close()  # after the engine: its last events are written, too
        for forget in self._forgetters:
            forget(self)

    def _warn_not_closed(self) -> None:
        """Warn that a batch has not ended; the session remains registered until it has."""
        _logger.warning(
            "The session %r is not closed yet: the current batch has not ended.\n%sIt closes when the batch ends. "
            "%s closes it now; the run is kept.",
            self.session_id,
            printable(self._engine.stack()),
            worded(str(NextStep.FORCE_CLOSE)),
        )
        weak = weakref.ref(self)  # a batch that does not end must not keep a dropped session

        def close(_: object) -> None:
            session = weak()
            if session is not None:
                session.close()

        self._engine.ended.add_done_callback(close)

    def when_closed(self, forget: Callable[[Session], object]) -> None:
        """Call ``forget`` with the session when it is closed."""
        self._forgetters = (*self._forgetters, forget)

    def send(self, command: Command, origin: Origin | None = None) -> Future[Any]:
        """Send ``command`` and return at once; the future resolves to its answer.

        A command that needs a run waits until a thread has begun the run, and so do all later commands.
        """
        if isinstance(command, ForceClose):
            return self._closing_by_force()
        return self._sender.send(CommandMessage(command, origin or default_origin()))

    # Inside ----------------------------------------------------------------------------------------------------------

    def wait_until_loaded(self, echo: Echo | None = None) -> None:
        """Wait until the engine has loaded the trial; ``echo`` gets the output of the definition.

        Raises:
            BaseException: The error that ended the load; the session is then closed. After an interrupt the load ends on its own.
        """
        try:
            self._waiting.until_loaded(echo)
        except BaseException as error:
            self._is_closed = True
            if isinstance(error, KeyboardInterrupt):
                self._engine.interrupt()
            else:
                self._engine.close_soon()
            self._publisher.publish(Closed())
            raise

    def _closing_by_force(self) -> Future[None]:
        done: Future[None] = Future()
        self.close(force=True)
        done.set_result(None)
        return done

    def _force_close(self) -> None:
        record = self.record()
        if record.state.is_live:
            self._publisher.publish(StateChanged(State.INTERRUPTED, record.batches_trained))
        self._publisher.detach()
        self._engine.kill()


def _forward(session: weakref.ref[Session], command: Command) -> Future[Any]:
    """Send the command of a live view; the session may no longer exist."""
    held = session()
    if held is None:
        gone: Future[Any] = Future()
        gone.set_exception(closed())
        return gone
    return held.send(command, Origin.LIVE_VIEW)
