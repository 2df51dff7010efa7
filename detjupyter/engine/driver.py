"""The driver: runs the loop in the engine's thread, and executes commands between two batches.

:mod:`detjupyter.engine.command_handlers` executes the commands, and :mod:`detjupyter.engine.job_control` starts and ends the jobs.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from detjupyter.definition.trial import InvalidHP
from detjupyter.engine.command_handlers import HANDLERS, Handler
from detjupyter.engine.job_control import JobControl
from detjupyter.engine.jobs import Job
from detjupyter.engine.output import keep_captured
from detjupyter.engine.refusals import refusal
from detjupyter.engine.requests import Inbox, Request
from detjupyter.engine.speed import Speed
from detjupyter.errors import CheckpointError
from detjupyter.protocol.allowed import verdict
from detjupyter.protocol.commands import COMMANDS
from detjupyter.protocol.events import Beat, Event, MetricsReported, SlowedChanged
from detjupyter.protocol.states import State

HEARTBEAT_S = 2.0
"""An idle engine emits a ``Beat`` this often. Views call an engine stuck only after a much longer silence."""


class Driver:
    """Drives one loaded trial until the engine is closed.

    Args:
        control: The jobs and the trial.
        inbox: The source of commands.

    Thread: the engine's.
    """

    def __init__(self, control: JobControl, inbox: Inbox) -> None:
        self.control = control
        self.trial = control.trial
        self._inbox = inbox
        self._speed = Speed()
        self._numbers = itertools.count(1)  # the numbers of commands, in the order in which they take effect
        self._held: deque[Request] = deque()  # requests that wait for side jobs
        self._waits_for: str | None = None  # the code in the foreground that excludes the trial
        self._next_beat = 0.0
        self._handlers = {kind: handler(control) for kind, handler in HANDLERS.items()}

    def run(self, is_over: Callable[[], bool]) -> None:
        """Work until ``is_over`` returns True. It is checked between two batches, and whenever an item arrives in the inbox."""
        while not is_over():
            self._handle_requests()
            if is_over():
                return
            if self.trial.state is State.RUNNING and self.trial.progress.batches_trained >= self.trial.progress.pause_at:
                self.control.end_step()
            job = self.control.next_job()
            self._set_busy(job is not None or self.trial.state is State.RUNNING)
            if job is not None and not (self.trial.checkpoints.is_under_way and (job.is_saving or job.awaits_files)):
                self._work_on(job)
            elif not self._inbox.wait(HEARTBEAT_S):
                self.trial.emitter.flush(Beat())

    def refuse(self, left: Iterable[Request], error: BaseException) -> None:
        """Refuse the requests that wait for side jobs, then those that are ``left`` in the inbox, with an event for each."""
        held, self._held = self._held, deque()
        for request in (*held, *left):
            request.answered = self._record
            if request.begin(self.trial.progress.batches_trained, next(self._numbers)):
                with suppress(Exception):  # emitting the event may be the part that is broken; the sender has its answer
                    request.refuse(error)

    def close(self) -> None:
        """Restore the process's switch interval, and break every reference cycle through this object, so that no cycle keeps the trial.

        No commands can be executed afterwards.
        """
        self._set_busy(False)
        self._handlers.clear()
        self.control.close()

    def _handle_requests(self) -> None:
        """Execute the requests that have arrived so far, in order; later ones wait for the next batch.

        A command that changes the trial waits for validations and checkpoints that were requested before it, and so do all commands after
        it. Only commands that pause, resume or stop the training overtake.
        """
        while self._held and not self._must_wait(self._held[0]):
            self._begin(self._held.popleft())
        for _ in range(len(self._inbox)):  # not until it is empty: a fast sender must not keep the training from its next batch
            item = self._inbox.take()
            if isinstance(item, Request):
                must_queue = self._held and not self._handler(item).is_urgent
                if (must_queue or self._must_wait(item)) and not self._is_refused(item):
                    self._held.append(item)
                else:
                    self._begin(item)
            elif item is not None:
                item()

    def _handler(self, request: Request) -> Handler:
        command: Any = request.message.command
        return self._handlers[command.kind]

    def _must_wait(self, request: Request) -> bool:
        return any(map(self._handler(request).waits_for, self.control.side_jobs))

    def _is_refused(self, request: Request) -> bool:
        """Return whether the present state refuses a command; it is then answered at once instead of being held."""
        kind = request.message.command.kind
        return kind in COMMANDS and verdict(kind, self.control.situation()).is_refusal

    def _begin(self, request: Request) -> None:
        if request.begin(self.trial.progress.batches_trained, next(self._numbers)):
            self._execute(request)

    def _execute(self, request: Request) -> None:
        command: Any = request.message.command
        request.answered = self._record
        try:
            if command.kind in COMMANDS:
                situation = self.control.situation()
                found = verdict(command.kind, situation)
                if found.is_refusal:
                    raise refusal(command.kind, found, situation, self.trial.progress.batches_trained)
            self._handler(request).run(command, request)
        except BaseException as error:  # a refusal, or any exception of the user's code; the sender gets it
            request.reject(error)

    def _record(self, request: Request, outcome: str, error: BaseException | None, details: dict[str, Any]) -> None:
        event = request.event(outcome, error, details, self.trial.progress.batches_trained)
        if event is not None:
            self.trial.emitter.flush(event)

    def _work_on(self, job: Job) -> None:
        """Take steps of ``job`` with the trial's settings in force, and end the job if it is done.

        The job ends, and its senders are answered, after the process has its own settings again: a waiting cell can use them at once.
        """
        with self.trial.loaded.settings.turn() as has_turn:  # False while another trial works with conflicting settings
            end = self._advance(job) if has_turn else None
        self._note_wait(None if has_turn else self.trial.loaded.settings.excluded_by)
        self.control.end_satisfied()
        if end is not None:
            end()

    def _note_wait(self, foreground: str | None) -> None:
        """Say once that the trial waits for code in the foreground, and show that the engine is alive while it does."""
        if foreground is not None and foreground != self._waits_for:
            self.trial.emitter.say(f"Waits for {foreground}, which needs other settings of the process.")
            self._next_beat = 0.0
        self._waits_for = foreground
        if foreground is not None and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + HEARTBEAT_S
            self.trial.emitter.flush(Beat())

    def _advance(self, job: Job) -> Callable[[], object] | None:
        """Take steps of ``job`` until the driver has something else to do: a request, a pause, another job, or another trial's turn.

        Entering the block around the steps installs the trial's settings and random states, which is too slow for every batch.

        Returns:
            A function that ends the job, None if the job has further steps.
        """
        progress, inbox = self.trial.progress, self._inbox
        try:
            with self.trial.user_code(), progress.adapter.active():
                for event in job.steps:
                    keep_captured()
                    if event is not None:
                        self.control.emit(event, job)
                        self._note_speed(event)
                    if inbox or progress.batches_trained >= progress.pause_at or (job.is_saving and self.trial.checkpoints.is_under_way):
                        return None
                    if self.trial.loaded.settings.is_contended:
                        return None
                    if event is not None and job is not self.control.next_job():
                        return None
        except InvalidHP as error:
            return partial(self.control.end_early, f"The trial rejects its hyperparameters: {error}")
        except BaseException as error:  # the user's code can raise anything, and a thread has no caller to handle it
            if isinstance(error, CheckpointError) and job is not self.control.training:
                return partial(self.control.end_side_job, job, error=error)
            return partial(self.control.fail, job.doing, error, job.waiting)
        return partial(self.control.complete, job)

    def _set_busy(self, busy: bool) -> None:
        if self._speed.set_busy(busy):
            self.trial.emitter.flush(SlowedChanged(self._speed.is_slowed))

    def _note_speed(self, event: Event) -> None:
        if isinstance(event, MetricsReported) and self._speed.has_changed():
            self.trial.emitter.emit(SlowedChanged(self._speed.is_slowed))
