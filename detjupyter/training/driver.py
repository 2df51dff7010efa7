"""The driver: the one thread of a session.

It runs the loop, answers what people and searchers ask between two batches, and hands every event to the board, to the store and to
the views. The thread lives while there is something to do: it starts with a request and ends when the session is neither running
nor paused, so that a session nobody holds is simply collected. The state changes, and is told of, in this thread alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from detjupyter.definition.isolation import working_directory
from detjupyter.definition.trial import InvalidHP
from detjupyter.errors import CheckpointError, SessionBusyError, SessionError, TrialError
from detjupyter.protocol.commands import MakeCheckpoint, Pause, Resume, Step, Stop, Validate
from detjupyter.protocol.events import ActivityChanged, Checkpointed, Event, Failed, Intervened, StateChanged, Validated
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import Activity, State
from detjupyter.training.announcer import Announcer
from detjupyter.training.board import Board
from detjupyter.training.checkpoints.checkpoint import PendingCheckpoint
from detjupyter.training.checkpoints.saving import Saving
from detjupyter.training.failure import describe, error_record
from detjupyter.training.loop import NEVER, Steps, Trainee, checkpoint, train, validate
from detjupyter.training.output import are_captured, captured, keep_captured
from detjupyter.training.plan import Plan
from detjupyter.training.requests import Call, Close, Job, Request, Train, Written, settle

HEARTBEAT_S = 5.0
JOIN_LIMIT_S = 10.0
WRITE_LIMIT_S = 120.0
"""How long closing a session waits for a checkpoint that is being written."""
SLICE_S = 0.2
"""Waiting is cut into slices, so that an interrupt gets through on every platform."""

_log = logging.getLogger(__name__)


class Driver:
    """Run one trial's loop in a thread of its own.

    Args:
        trainee: The trial and how far it is.
        board: What the views read; the driver tells it about plans.
        announcer: What hears of every event.
        name: The thread's name.
        roots: Directories whose frames are the user's own; relative paths of the trial start at the first.
        begin_checkpoint: Copies the state of the trainee as it is; is told whether the checkpoint is the training's own idea.
        keep_checkpoint: Told of each complete checkpoint when the store has it; returns those to delete instead.
        surroundings: What the trial's code runs in.

    Thread: the public methods may be called from any thread.
    """

    def __init__(
        self,
        trainee: Trainee,
        board: Board,
        announcer: Announcer,
        *,
        name: str,
        roots: Sequence[Path],
        begin_checkpoint: Callable[[bool], PendingCheckpoint],
        keep_checkpoint: Callable[[CheckpointRecord], Sequence[CheckpointRecord]] = lambda _: (),
        surroundings: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.trainee = trainee
        self.error: TrialError | None = None
        """What the user's code raised, in state ``failed``."""
        self._board = board
        self._announcer = announcer
        self._name = name
        self._roots = roots
        self._saving = Saving(trainee, begin_checkpoint, name=name, send=self.send)
        self._keep_checkpoint = keep_checkpoint
        self._surroundings = surroundings

        self._state = State.READY
        self._announced = State.READY  # the state that all have heard of
        self._changed = threading.Condition(threading.RLock())
        self._inbox: deque[tuple[Request, Future[Any]]] = deque()
        inbox = self._inbox  # not self: the trainee would hold its driver
        trainee.is_wanted = lambda: bool(inbox) or not are_captured()
        self._thread: threading.Thread | None = None
        self._plan: Job | None = None
        self._side: deque[Job] = deque()  # validations and checkpoints asked for; they go before the plan
        self._steppers: list[Future[Any]] = []
        self._missed_metric: str | None = None
        self._goes_on = False  # somebody resumed while a step was under way: it is not held at the end of the step

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def is_busy(self) -> bool:
        """Whether a training is under way, running or paused."""
        return self._state is State.RUNNING or self._plan is not None

    @property
    def is_validating(self) -> bool:
        """Whether a validation that somebody asked for waits or is under way."""
        return any(job.doing == "validating" for job in list(self._side))

    def train(self, make_plan: Callable[[], Plan]) -> None:
        """Begin a training and return, in state ``running``, before the data is prepared.

        Raises:
            SessionBusyError: one is under way, running or paused.
        """
        self._require_free()
        self.ask(Train(make_plan))

    def send(self, request: Request) -> Future[Any]:
        """Ask for something; the future tells what came of it."""
        future: Future[Any] = Future()
        with self._changed:
            self._inbox.append((request, future))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"detjupyter {self._name}", daemon=True)
                thread.start()
                self._thread = thread
            self._changed.notify_all()
        return future

    def ask(self, request: Request) -> Any:
        """Ask for something and wait for what comes of it; an interrupt ends the waiting, not what was asked for.

        Raises:
            SessionError: this is the thread that would have to answer.
        """
        self._require_other_thread()
        future = self.send(request)
        while not future.done():
            wait_for([future], timeout=SLICE_S)
        return future.result()

    def wait(self, timeout_s: float | None = None) -> State:
        """Block while the training runs, at most ``timeout_s`` seconds; return the state then.

        Raises:
            SessionError: this is the thread that trains.
        """
        self._require_other_thread()
        with self._changed:
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            while self._announced is State.RUNNING:
                left = SLICE_S if deadline is None else min(SLICE_S, deadline - time.monotonic())
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._announced

    def close(self, state: State) -> bool:
        """Give up what is under way and end the thread; a session that is idle stays in its state. May be called twice.

        Returns:
            Whether the thread has ended; it has not if the batch under way takes very long, or if this is that thread.
        """
        with self._changed:
            thread = self._thread
            if thread is None:
                return True
            self.send(Close(state))
        if thread is threading.current_thread():
            return False
        deadline = time.monotonic() + JOIN_LIMIT_S
        patience = time.monotonic() + WRITE_LIMIT_S
        while thread.is_alive() and time.monotonic() < (patience if self._saving.is_under_way else deadline):
            thread.join(SLICE_S)
        return not thread.is_alive()

    def wait_for_files(self) -> None:
        """Block while a checkpoint is being written.

        Raises:
            SessionError: this is the thread that trains.
        """
        self._require_other_thread()
        with self._changed:
            while self._saving.is_under_way:
                self._changed.wait(SLICE_S)

    def _run(self) -> None:
        try:
            working_directory.enter(self._roots[0])  # for the whole life of this thread, and of the workers that it starts
            with captured(self._announcer.sink):
                while True:
                    self._answer_requests()
                    if self._state is State.RUNNING and self.trainee.batches_trained >= self.trainee.hold_at:
                        self._hold()
                    job = self._next_job()
                    if job is not None and not self._waits_for_files(job):
                        self._advance(job)
                    elif self._is_over(job):
                        return
        except BaseException as error:  # a bug of ours; whoever waits must hear of it all the same
            _log.exception("The session %s broke.", self._name)
            self._abandon(error)

    def _next_job(self) -> Job | None:
        if self._side and self._plan is not None and self._plan.is_validating:
            return self._plan  # a validation has an end before anything else that was asked for, though the session be paused
        return self._side[0] if self._side else self._plan if self._state is State.RUNNING else None

    def _advance(self, job: Job) -> None:
        """Take the job's steps until there is a reason to look up."""
        trainee, inbox = self.trainee, self._inbox
        try:
            with self._surroundings(), trainee.adapter.at_work():
                for event in job.steps:
                    keep_captured()
                    if event is not None:
                        self._publish(event, job)
                    if inbox or trainee.batches_trained >= trainee.hold_at or (job.is_saving and self._saving.is_under_way):
                        return
                    if event is not None and job is not self._next_job():
                        return
        except InvalidHP as error:
            self._end_early(f"The trial calls its hyperparameters invalid: {error}")
        except BaseException as error:  # the user's code may raise anything; a thread has nobody above it
            if isinstance(error, CheckpointError) and job is not self._plan:
                self._end_side_job(job, error=error)
            else:
                self._fail(job.doing, error, job.waiting)
        else:
            self._complete(job)

    def _waits_for_files(self, job: Job) -> bool:
        """Return whether the job's next step has to wait until the checkpoint before is written; requests are answered meanwhile."""
        return self._saving.is_under_way and (job.is_saving or job.is_through)

    def _is_over(self, job: Job | None) -> bool:
        """Wait for a request; return True when the thread has nothing left to live for: no ``job``, no pause, no files to write."""
        with self._changed:
            if self._inbox:
                return False
            if job is None and self._state is not State.PAUSED and not self._saving.is_under_way:
                self._thread = None
                return True
            self._changed.wait(HEARTBEAT_S)
        self._announcer.beat()
        return False

    # --- requests -----------------------------------------------------------------------------------------------------------------

    def _answer_requests(self) -> None:
        while self._inbox:
            request, future = self._inbox.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                self._answer(request, future)
            except BaseException as error:  # refused, or a Call's own error: it belongs to whoever asked
                future.set_exception(error)

    def _answer(self, request: Request, future: Future[Any]) -> None:
        if self._state.is_live and not isinstance(request, (Train, Call, Close, Written)):
            self._announcer.tell(Intervened(request.kind, self.trainee.batches_trained))
        match request:
            case Train():
                self._begin(request, future)
            case Pause():
                self._require_live()
                self._pause()
                future.set_result(None)
            case Resume():
                self._resume()
                future.set_result(None)
            case Step():
                self._step(request.batches, future)
            case Stop():
                self._stop(State.STOPPED)
                future.set_result(None)
            case Validate():
                self._ask_for("validating", lambda: validate(self.trainee), future)
            case MakeCheckpoint():
                self._ask_for("saving", lambda: checkpoint(self.trainee, lambda: self._saving.save(automatic=False)), future)
            case Call():
                self._report()  # the metrics of batches before a reload are the old code's
                try:
                    result = request.function()
                finally:
                    self._announcer.turn()  # what it printed and changed shows at once
                future.set_result(result)
            case Close():
                self._stop(request.state)
                future.set_result(None)
            case Written():
                self._end_write(request)
                future.set_result(None)

    def _begin(self, request: Train, future: Future[Any]) -> None:
        self._require_free()
        self._enter(State.RUNNING)
        future.set_result(None)
        self._prepare(request.make_plan)

    def _prepare(self, make_plan: Callable[[], Plan]) -> None:
        try:
            with self._surroundings(), self.trainee.adapter.at_work():
                plan = make_plan()
                batches_per_epoch = self.trainee.adapter.batches_per_epoch
        except InvalidHP as error:
            self._end_early(f"The trial calls its hyperparameters invalid: {error}")
            return
        except BaseException as error:  # it is the user's code that builds the data
            self._fail("preparing the data", error)
            return
        self._plan = Job(train(self.trainee, plan, self._save_or_say, self._is_best), "training", plan=plan)
        self._board.begin_plan(plan.start, min(plan.target, self.trainee.hold_at))
        self._board.set_epoch_length(batches_per_epoch)

    def _pause(self) -> None:
        if self._state is not State.RUNNING:
            return
        self._report()
        self.trainee.hold_at = NEVER
        if self._plan is not None and self._plan.is_step:  # a step beside any training: nothing to resume
            self._drop_plan()
            self._board.end_plan()
        self._enter(State.PAUSED)
        self._release_steppers()

    def _resume(self) -> None:
        if self._state is State.RUNNING:
            self._goes_on = True
        elif self._state is State.PAUSED and self._plan is not None:
            self._enter(State.RUNNING)
        else:
            raise SessionError(
                "There is no training to resume.", state=self._state.value, hint="Begin one, for example `%det_train --epochs 1`."
            )

    def _step(self, batches: int, future: Future[Any]) -> None:
        trained = self.trainee.batches_trained
        hold_at = trained + batches
        if self._steppers:  # another step is under way: whoever asked for it gets their batches, too
            hold_at = max(hold_at, self.trainee.hold_at)
        self._steppers.append(future)
        self._goes_on = False
        self.trainee.hold_at = hold_at
        if self._state is not State.RUNNING:
            self._enter(State.RUNNING)
        if self._plan is None:
            self._prepare(lambda: Plan(start=trained, target=NEVER, ends_with_boundaries=False))  # until it is held
        elif self._plan.is_step:
            self._board.extend_plan(hold_at)

    def _hold(self) -> None:
        """Do what is to be done at the end of a step."""
        self.trainee.hold_at = NEVER
        if self._goes_on and self._plan is not None and not self._plan.is_step:
            self._release_steppers()
        else:
            self._pause()

    def _stop(self, state: State) -> None:
        stopped = _stopped(state)
        self._give_up_side_jobs(stopped)
        if self._state.is_live:
            self._report()
            self._drop_plan()
            self._enter(state)
        self._release_steppers(error=stopped)

    def _give_up_side_jobs(self, error: SessionError) -> None:
        for job in list(self._side):
            job.give_up()
            self._end_side_job(job, error=error)

    def _ask_for(self, doing: str, steps: Callable[[], Steps], future: Future[Any]) -> None:
        for job in self._side:
            if job.doing == doing:
                job.waiting.append(future)
                return
        self._report()
        self._side.append(Job(steps(), doing, waiting=[future]))

    def _require_free(self) -> None:
        if self.is_busy:
            other_way = "`%det_resume` goes on" if self._state is State.PAUSED else "`%det_pause` holds it"
            raise SessionBusyError(
                f"This session is {self._state.value}, at batch {self.trainee.batches_trained:,}.",
                state=self._state.value,
                hint=f"`%det_stop` ends the training, {other_way}.",
            )

    def _require_other_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise SessionError(
                "The training cannot wait for itself: this was called in its own thread.",
                state=self._state.value,
                hint="`session.send(Pause())`, with the commands of detjupyter.protocol.commands, asks without waiting.",
            )

    def _require_live(self) -> None:
        if not self._state.is_live:
            raise SessionError(
                f"Nothing is training: the session is {self._state.value}.",
                state=self._state.value,
                hint="Begin, for example with `%det_train --epochs 1`.",
            )

    # --- how jobs end -------------------------------------------------------------------------------------------------------------

    def _complete(self, job: Job) -> None:
        if job is not self._plan:
            if job.is_saving and job.result is None:  # it is being written behind, and whoever asked waits for that
                self._saving.wait_with(job.waiting)
                job.waiting = []
            self._end_side_job(job)
            return
        if self._saving.is_under_way:  # it has not ended before its files are there
            job.is_through = True
            self._announcer.tell(ActivityChanged(Activity.CHECKPOINTING))
            return
        self._plan = None
        self.trainee.hold_at = NEVER
        if self.trainee.adapter.stop_requested:
            self._announcer.sink.say(f"The trial asked to stop (after batch {self.trainee.batches_trained:,}).")
        self._enter(job.ends_in)
        self._release_steppers(error=None if job.ends_in is State.FINISHED else _stopped(job.ends_in))

    def _end_early(self, reason: str) -> None:
        """End the training in order, as the trial itself wants it: with a checkpoint, stopped."""
        self._report()
        with suppress(Exception):  # as after a failure
            self.trainee.adapter.discard_batch()
        self._announcer.sink.say(f"{reason} (after batch {self.trainee.batches_trained:,}).")
        plan = self._plan
        if plan is None or not self._state.is_live:
            self._stop(State.STOPPED)
            return
        self._give_up_side_jobs(_stopped(State.STOPPED))
        plan.give_up()
        is_saved = self.trainee.checkpointed_at == self.trainee.batches_trained
        plan.steps = _no_steps() if is_saved else checkpoint(self.trainee, self._save_or_say)
        plan.ends_in = State.STOPPED
        self.trainee.hold_at = NEVER
        if self._state is State.PAUSED:  # it was a validation that somebody asked for meanwhile
            self._enter(State.RUNNING)

    def _end_side_job(self, job: Job, error: BaseException | None = None) -> None:
        self._side.remove(job)
        self._board.end_side_activity()
        self._announcer.turn()
        for future in job.waiting:
            settle(future, job.result, error=error)

    def _fail(self, doing: str, error: BaseException, waiting: Sequence[Future[Any]] = ()) -> None:
        hint = self.trainee.adapter.explain(error)
        failure = describe(error, self._roots, f"{doing}, after batch {self.trainee.batches_trained:,}")
        failure.hint = failure.hint or hint
        self._report()
        others = [future for job in self._side if job.waiting is not waiting for future in job.waiting]
        waiting = [*waiting, *others, *self._steppers]
        self._side.clear()
        self._steppers.clear()
        self._drop_plan()
        with suppress(Exception):  # a device that failed may fail here again, and the failure at hand is the one to tell
            self.trainee.adapter.discard_batch()
        self.error = failure
        self._announcer.tell(Failed(error_record(failure), self.trainee.batches_trained))
        self._enter(State.FAILED)
        for future in waiting:
            settle(future, error=failure)

    def _abandon(self, error: BaseException) -> None:
        """End the thread without a word to board, store and views: one of them is what broke."""
        what = f"{type(error).__name__}: {error}"
        failure = TrialError("The session broke; this is a bug of detjupyter.", exception=what, user_traceback="", hint="Load it again.")
        with self._changed:
            waiting = [future for job in self._side for future in job.waiting] + self._steppers + self._saving.abandon()
            unanswered = [future for _, future in self._inbox if future.set_running_or_notify_cancel()]
            self._side.clear()
            self._inbox.clear()
            self._steppers = []
            self._plan = self._thread = None
            self.error = failure
            self._state = self._announced = State.FAILED
            self._changed.notify_all()
        for future in [*waiting, *unanswered]:
            settle(future, error=failure)

    def _drop_plan(self) -> None:
        if self._plan is not None:
            self._plan.give_up()
            self._plan = None
        self.trainee.hold_at = NEVER

    def _save_or_say(self) -> CheckpointRecord | None:
        try:
            plan = self._plan.plan if self._plan is not None else None
            return self._saving.save(automatic=plan is None or not plan.keeps_checkpoints)
        except CheckpointError as error:
            self._announcer.sink.say(str(error))
            return None

    def _end_write(self, written: Written) -> None:
        """Tell of a checkpoint that is complete, or of one that could not be written."""
        if not self._saving.end(written):
            return
        waiting, error = written.write.waiting, written.error
        if written.record is not None:
            self._announcer.tell(Checkpointed(written.record))
            try:
                with self._surroundings():
                    self._after_checkpoint(written.record)
            except BaseException as raised:  # a callback's; the checkpoint is there all the same
                self._fail("telling the trial of a checkpoint", raised)
        elif isinstance(error, CheckpointError) and not waiting:
            self._announcer.sink.say(str(error))
            self._announcer.turn()
        elif error is not None and not isinstance(error, CheckpointError):
            self._fail("saving", error, waiting)
            waiting = []
        for future in waiting:
            settle(future, written.record, error=error)
        with self._changed:
            self._changed.notify_all()

    def _after_checkpoint(self, record: CheckpointRecord) -> None:
        """Do what comes after a complete checkpoint: the store first, then the user's code, then those that it makes superfluous."""
        self._announcer.turn()
        for superfluous in self._keep_checkpoint(record):
            self._saving.delete(superfluous)
        self.trainee.adapter.checkpointed(record.id)

    def _is_best(self) -> bool:
        """Return whether the newest validation is the best so far."""
        best = self._board.record().best
        return best is not None and best.batches_trained == self.trainee.batches_trained

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Bring up to date what the batches so far reported, so that a held session shows its last batch."""
        try:
            event = self.trainee.report()
        except Exception as error:  # a device that failed says so at its next use, which may be this; the next batch fails properly
            self._announcer.sink.say(f"The newest metrics could not be read: {type(error).__name__}: {error}")
            return
        if event is not None:
            self._announcer.tell(event)

    def _publish(self, event: Event, job: Job) -> None:
        if isinstance(event, Validated):
            job.result = dict(event.metrics)
            job.is_validating = False
            self._miss_metric(event.metrics)
        elif isinstance(event, ActivityChanged):
            job.is_validating = event.activity is Activity.VALIDATING
            job.is_saving = event.activity is Activity.CHECKPOINTING
        self._announcer.tell(event)
        if isinstance(event, Validated) and job is self._plan:
            for waiting in [side for side in self._side if side.doing == "validating"]:  # none has begun: the plan's came first
                waiting.result = job.result
                self._end_side_job(waiting)
        if isinstance(event, Checkpointed):  # written in this thread
            job.result = event.checkpoint
            self._after_checkpoint(event.checkpoint)

    def _miss_metric(self, metrics: Mapping[str, Any]) -> None:
        """Say, once, that the config ranks runs by a metric that the validation does not give."""
        missing = self._board.missing_metric(metrics)
        if missing is not None and missing != self._missed_metric:
            self._missed_metric = missing
            there = ", ".join(map(str, metrics)) or "none"
            self._announcer.sink.say(
                f"The config's metric {missing!r} is not among those of the validation ({there}); the first of them ranks."
            )

    def _enter(self, state: State) -> None:
        if state is State.RUNNING and not self._state.is_live:
            self.error = None
        with self._changed:
            self._state = state
        self._announcer.turn(StateChanged(state, self.trainee.batches_trained))
        with self._changed:  # last: whoever waited finds the store written and the views drawn
            self._announced = state
            self._changed.notify_all()

    def _release_steppers(self, error: BaseException | None = None) -> None:
        steppers, self._steppers = self._steppers, []
        for future in steppers:
            settle(future, error=error)


def _no_steps() -> Steps:
    yield from ()


def _stopped(state: State) -> SessionError:
    return SessionError("Stopped before it was done.", state=state.value)
