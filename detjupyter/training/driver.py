"""The driver: the one thread of a session.

It runs the loop, answers what people and searchers ask between two batches, and hands every event to the board, to the store and to
the views. The thread lives while there is something to do: it starts with a request and ends when the session is neither running
nor paused, so that a session nobody holds is simply collected.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detjupyter.definition.user_errors import trial_error
from detjupyter.errors import CheckpointError, DetJupyterError, SessionBusyError, SessionError, TrialError
from detjupyter.protocol.commands import Command, MakeCheckpoint, Pause, Resume, Step, Stop, Validate
from detjupyter.protocol.events import Checkpointed, Event, Failed, Intervened, StateChanged, Validated
from detjupyter.protocol.records import CheckpointRecord, ErrorRecord
from detjupyter.protocol.states import State
from detjupyter.training.announcer import Announcer
from detjupyter.training.board import Board
from detjupyter.training.loop import Steps, Trainee, checkpoint, train, validate
from detjupyter.training.output import captured
from detjupyter.training.plan import Plan

HEARTBEAT_S = 5.0
JOIN_LIMIT_S = 10.0
_NEVER = sys.maxsize


@dataclass(frozen=True, slots=True)
class Train:
    """Begin the training that ``make_plan`` describes; it is called in the driver's thread, since it may build the data loaders."""

    make_plan: Callable[[], Plan]


@dataclass(frozen=True, slots=True)
class Call:
    """Call ``function`` between two batches; what it returns or raises goes to the caller."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Close:
    """Give up whatever is under way and end in ``state``."""

    state: State


Request = Command | Train | Call | Close


@dataclass(slots=True)
class _Job:
    """Steps to take, and who waits for them; ``result`` is what the last validation or checkpoint among them gave."""

    steps: Steps
    doing: str
    plan: Plan | None = None
    waiting: list[Future[Any]] = field(default_factory=list)
    result: Any = None


class Driver:
    """Run one trial's loop in a thread of its own.

    Args:
        trainee: The trial and how far it is.
        board: What the views read; the driver tells it about plans.
        announcer: What hears of every event.
        name: The thread's name.
        roots: Directories whose frames are the user's own.
        save: Writes a checkpoint of the trainee as it is.

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
        save: Callable[[], CheckpointRecord],
    ) -> None:
        self.trainee = trainee
        self.error: TrialError | None = None
        self._board = board
        self._announcer = announcer
        self._name = name
        self._roots = roots
        self._save = save

        self._state = State.READY
        self._announced = State.READY  # the state that all have heard of
        self._changed = threading.Condition(threading.RLock())
        self._inbox: deque[tuple[Request, Future[Any]]] = deque()
        self._thread: threading.Thread | None = None
        self._plan: _Job | None = None
        self._side: deque[_Job] = deque()  # validations and checkpoints asked for; they go before the plan
        self._hold_at = _NEVER
        self._steppers: list[Future[Any]] = []

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def is_busy(self) -> bool:
        """Whether a training is under way, running or paused."""
        return self._state is State.RUNNING or self._plan is not None

    def train(self, make_plan: Callable[[], Plan]) -> None:
        """Begin a training and return at once, in state ``running``.

        Raises:
            SessionBusyError: one is under way, running or paused.
        """
        with self._changed:
            if self.is_busy:
                other_way = "`%det_resume` goes on" if self._state is State.PAUSED else "`%det_pause` holds it"
                raise SessionBusyError(
                    f"This session is {self._state.value}, at batch {self.trainee.batches_trained:,}.",
                    state=self._state.value,
                    hint=f"`%det_stop` ends the training, {other_way}.",
                )
            self.error = None
            self._state = State.RUNNING
        self._announce(State.RUNNING)
        self.send(Train(make_plan))

    def send(self, request: Request) -> Future[Any]:
        """Ask for something; the future tells what came of it."""
        future: Future[Any] = Future()
        with self._changed:
            self._inbox.append((request, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"detjupyter {self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return future

    def wait(self, timeout_s: float | None = None) -> State:
        """Block while the training runs, at most ``timeout_s`` seconds; return the state then."""
        with self._changed:
            deadline = None if timeout_s is None else time.monotonic() + timeout_s
            while self._announced is State.RUNNING:
                left = 0.2 if deadline is None else min(0.2, deadline - time.monotonic())
                if left <= 0:
                    break
                self._changed.wait(left)  # in slices, so that an interrupt gets through on every platform
            return self._announced

    def close(self, state: State) -> None:
        """Give up what is under way and end the thread; a session that is idle stays in its state. May be called twice."""
        with self._changed:
            thread = self._thread
            if thread is None:
                return
            self.send(Close(state))
        thread.join(JOIN_LIMIT_S)

    def _run(self) -> None:
        with captured(self._announcer.sink):
            while True:
                self._answer_requests()
                if self._state is State.RUNNING and self.trainee.batches_trained >= self._hold_at:
                    self._hold()
                job = self._side[0] if self._side else self._plan if self._state is State.RUNNING else None
                if job is not None:
                    self._advance(job)
                elif self._is_over():
                    return

    def _advance(self, job: _Job) -> None:
        """Take the job's steps until there is a reason to look up."""
        trainee, inbox = self.trainee, self._inbox
        hold_at = self._hold_at if job is self._plan else _NEVER
        try:
            for event in job.steps:
                if event is not None:
                    self._publish(event, job)
                if inbox or trainee.batches_trained >= hold_at:
                    return
        except (Exception, SystemExit) as error:  # the user's code may raise anything; a thread has nobody above it
            self._fail(job, error)
        else:
            self._complete(job)

    def _is_over(self) -> bool:
        """Wait for a request; return True when the thread has nothing left to live for."""
        with self._changed:
            if self._inbox:
                return False
            if self._state is not State.PAUSED:
                self._thread = None
                return True
            self._changed.wait(HEARTBEAT_S)
        self._announcer.beat()
        return False

    # --- requests -----------------------------------------------------------------------------------------------------------------

    def _answer_requests(self) -> None:
        while self._inbox:
            request, future = self._inbox.popleft()
            try:
                self._answer(request, future)
            except Exception as error:  # refused, or a Call's own error: it belongs to whoever asked
                _settle(future, error=error)

    def _answer(self, request: Request, future: Future[Any]) -> None:
        if self._state.is_live and not isinstance(request, (Train, Call, Close)):
            self._announcer.tell(Intervened(request.kind, self.trainee.batches_trained))
        match request:
            case Train():
                self._begin(request, future)
            case Pause():
                self._require_live()
                self._pause()
                _settle(future)
            case Resume():
                self._resume()
                _settle(future)
            case Step():
                self._step(request.batches, future)
            case Stop():
                self._stop(State.STOPPED)
                _settle(future)
            case Validate():
                self._ask_for("validation", lambda: validate(self.trainee), future)
            case MakeCheckpoint():
                self._ask_for("checkpoint", lambda: checkpoint(self.trainee, self._save), future)
            case Call():
                _settle(future, request.function())
            case Close():
                self._stop(request.state)
                _settle(future)

    def _begin(self, request: Train, future: Future[Any]) -> None:
        try:
            plan = request.make_plan()
        except DetJupyterError as error:
            self._enter(State.FAILED, error=self._describe(error, "preparing the training"))
            raise
        except (Exception, SystemExit) as error:
            self._fail(_Job(steps=_nothing(), doing="preparing the data", waiting=[future]), error)
            return
        self._hold_at = _NEVER
        self._start(plan)
        _settle(future)

    def _start(self, plan: Plan) -> None:
        steps = train(self.trainee, plan, self._save_or_say)
        self._plan = _Job(steps, "training", plan=plan)
        self._board.begin_plan(plan.start, plan.target)
        self._board.set_epoch_length(self.trainee.adapter.batches_per_epoch)

    def _pause(self) -> None:
        if self._state is State.RUNNING:
            self._report()
            self._hold_at = _NEVER
            self._enter(State.PAUSED)
            self._release_steppers()

    def _resume(self) -> None:
        if self._state is State.RUNNING:
            self._hold_at = _NEVER
        elif self._state is State.PAUSED and self._plan is not None:
            self._enter(State.RUNNING)
        else:
            raise SessionError(
                "There is no training to resume.", state=self._state.value, hint="Begin one, for example `%det_train --epochs 1`."
            )

    def _step(self, batches: int, future: Future[Any]) -> None:
        trained = self.trainee.batches_trained
        if self._plan is None:
            self._start(Plan(start=trained, target=trained + batches, ends_with_boundaries=False))
        self._hold_at = trained + batches
        self._steppers.append(future)
        self._enter(State.RUNNING)

    def _hold(self) -> None:
        self._hold_at = _NEVER
        self._report()
        plan = self._plan.plan if self._plan is not None else None
        if plan is not None and not plan.ends_with_boundaries:  # a step beside any training: nothing to resume
            self._drop_plan()
            self._board.end_plan()
        self._enter(State.PAUSED)
        self._release_steppers()

    def _stop(self, state: State) -> None:
        stopped = SessionError("Stopped before it was done.", state=state.value)
        for job in self._side:
            job.steps.close()
            for future in job.waiting:
                _settle(future, error=stopped)
        self._side.clear()
        if self._state.is_live:
            self._report()
            self._drop_plan()
            self._enter(state)
        self._release_steppers(error=stopped)

    def _ask_for(self, doing: str, steps: Callable[[], Steps], future: Future[Any]) -> None:
        for job in self._side:
            if job.doing == doing:
                job.waiting.append(future)
                return
        self._report()
        self._side.append(_Job(steps(), doing, waiting=[future]))

    def _require_live(self) -> None:
        if not self._state.is_live:
            raise SessionError(
                f"Nothing is training: the session is {self._state.value}.",
                state=self._state.value,
                hint="Begin, for example with `%det_train --epochs 1`.",
            )

    # --- how jobs end -------------------------------------------------------------------------------------------------------------

    def _complete(self, job: _Job) -> None:
        if job is self._plan:
            self._plan = None
            self._enter(State.FINISHED)
            self._release_steppers()
            return
        self._side.remove(job)
        self._board.end_side_activity()
        self._announcer.turn()
        for future in job.waiting:
            _settle(future, job.result)

    def _fail(self, job: _Job, error: BaseException) -> None:
        if isinstance(error, CheckpointError) and job is not self._plan:
            self._side.remove(job)
            self._board.end_side_activity()
            self._announcer.turn()
            for future in job.waiting:
                _settle(future, error=error)
            return
        failure = self._describe(error, f"{job.doing}, after batch {self.trainee.batches_trained:,}")
        del error
        waiting = [*job.waiting, *(future for side in self._side for future in side.waiting), *self._steppers]
        self._side.clear()
        self._steppers.clear()
        self._drop_plan()
        self.trainee.adapter.discard_batch()
        self._enter(State.FAILED, error=failure)
        for future in waiting:
            _settle(future, error=failure)

    def _describe(self, error: BaseException, doing: str) -> TrialError:
        if isinstance(error, TrialError):
            return error.with_traceback(None)
        if isinstance(error, DetJupyterError):  # already short: a missing hyperparameter, epochs that cannot be counted
            return TrialError(error.message, exception="", user_traceback="", hint=error.hint)
        return trial_error(error, self._roots, doing)

    def _drop_plan(self) -> None:
        if self._plan is not None:
            self._plan.steps.close()
            self._plan = None
        self._hold_at = _NEVER

    def _save_or_say(self) -> CheckpointRecord | None:
        try:
            return self._save()
        except CheckpointError as error:
            self._announcer.sink.say(str(error))
            return None

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Bring up to date what the batches so far reported, so that a held session shows its last batch."""
        event = self.trainee.report()
        if event is not None:
            self._announcer.tell(event)

    def _publish(self, event: Event, job: _Job) -> None:
        if isinstance(event, Validated):
            job.result = dict(event.metrics)
        elif isinstance(event, Checkpointed):
            job.result = event.checkpoint
        self._announcer.tell(event)

    def _enter(self, state: State, error: TrialError | None = None) -> None:
        if error is not None:
            self.error = error
            name = error.exception.partition(":")[0] if error.user_traceback else type(error).__name__
            message = f"{error.message} {error.exception}".strip() if not error.user_traceback else error.exception
            self._announcer.tell(Failed(ErrorRecord(name, message, error.user_traceback, error.hint), self.trainee.batches_trained))
        with self._changed:
            self._state = state
        self._announce(state)

    def _announce(self, state: State) -> None:
        self._announcer.tell(StateChanged(state, self.trainee.batches_trained))
        self._announcer.turn()
        with self._changed:  # last: whoever waited finds the store written and the views drawn
            self._announced = state
            self._changed.notify_all()

    def _release_steppers(self, error: BaseException | None = None) -> None:
        for future in self._steppers:
            _settle(future, error=error)
        self._steppers.clear()


def _settle(future: Future[Any], result: Any = None, *, error: BaseException | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _nothing() -> Steps:
    yield from ()
