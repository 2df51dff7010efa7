"""The jobs of an engine: how commands start, change and cancel them, and what happens when a job ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from detjupyter.definition.trial import InvalidHP
from detjupyter.engine.active_trial import ActiveTrial
from detjupyter.engine.checkpoints.service import Written
from detjupyter.engine.failure import describe, error_record, summary
from detjupyter.engine.jobs import Job
from detjupyter.engine.loop import Steps, checkpoint, train
from detjupyter.engine.plan import NEVER, Plan, make_plan, needs_data
from detjupyter.engine.requests import Request
from detjupyter.errors import CheckpointError, SessionError, TrialError
from detjupyter.protocol.answers import ErrorAnswer
from detjupyter.protocol.commands import Train
from detjupyter.protocol.events import ActivityChanged, BestChanged, Checkpointed, Event, Failed, PlanChanged, Until, Validated
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.situation import Situation
from detjupyter.protocol.states import Activity, State


class JobControl:
    """The current training, and the requested validations and checkpoints, which run before it continues.

    Args:
        make_trial: Makes the trial; its argument must be called at the end of each write of a checkpoint.

    Attributes:
        trial: The trial.
        training: The current training or step, paused or not.
        side_jobs: The validations and checkpoints that commands have requested.
        step_requests: The requests for steps whose batches are not trained yet.
        awaiting_files: Requests that wait until no checkpoint is being written.
        resumes_after_step: Whether a command resumed the training during a step, so that it does not pause at the end of the step.
        has_data: Whether the trial has built its training data.

    Thread: the engine's.
    """

    def __init__(self, make_trial: Callable[[Callable[[Written], None]], ActiveTrial]) -> None:
        self.trial = make_trial(self._end_write)
        self.training: Job | None = None
        self.side_jobs: deque[Job] = deque()
        self.step_requests: list[Request] = []
        self.awaiting_files: list[Request] = []
        self.resumes_after_step = False
        self.has_data = False
        self._batches_per_epoch: int | None = None
        self._satisfied: list[Job] = []  # validations that have their result, and whose requests are not answered yet

    def close(self) -> None:
        """Drop the training, and the references from the trial to this object, so that no cycle keeps the trial alive."""
        self._drop_training()
        self.trial.progress.has_request = lambda: False
        self.trial.checkpoints.close()

    def situation(self) -> Situation:
        """Return the facts that decide which commands are allowed."""
        training = self.training
        return Situation(
            state=self.trial.state,
            has_training=training is not None and not training.is_step,
            activity=self.trial.emitter.activity,
            can_reload=self.trial.loaded.can_reload,
        )

    def next_job(self) -> Job | None:
        """Return the job to work on next, None if there is nothing to do."""
        if self.side_jobs and self.training is not None and self.training.is_validating:
            return self.training  # it must complete its validation before another job begins, even if the session is paused
        return self.side_jobs[0] if self.side_jobs else self.training if self.trial.state is State.RUNNING else None

    def plan(self, command: Train) -> Plan:
        """Return the plan of a training. Builds the data if a length is given in epochs or records.

        Raises:
            LengthError: A length cannot be planned.
            BaseException: Any exception that the user's code raises while it builds the data.
        """
        trained, adapter = self.trial.progress.batches_trained, self.trial.progress.adapter
        if not needs_data(command):
            return make_plan(command, trained=trained, batches_per_epoch=None, records_per_batch=None)
        with self.trial.user_code(), adapter.active():
            per_epoch, per_batch = adapter.batches_per_epoch, adapter.records_per_batch
        return make_plan(command, trained=trained, batches_per_epoch=per_epoch, records_per_batch=per_batch)

    def begin(self, make_plan: Callable[[], Plan]) -> None:
        """Build the data and begin the training that ``make_plan`` plans. The state must be ``running``."""
        adapter = self.trial.progress.adapter
        try:
            with self.trial.user_code(), adapter.active():
                plan = make_plan()
                self._batches_per_epoch = adapter.batches_per_epoch
                self.has_data = True
        except InvalidHP as error:
            self.end_early(f"The trial rejects its hyperparameters: {error}")
            return
        except BaseException as error:  # the user's code builds the data, and can raise anything
            self.fail("preparing the data", error)
            return
        steps = train(self.trial.progress, plan, self._save_in_training, self.trial.is_best)
        self.training = Job(steps, Activity.TRAINING, "training", plan=plan)
        self.emit_plan()

    def emit_plan(self) -> None:
        """Emit the length of the current training, or that there is none."""
        job = self.training
        if job is None or job.plan is None:
            self.trial.emitter.emit(PlanChanged(None, None, False, self._batches_per_epoch))
            return
        target = min(job.plan.target, self.trial.progress.pause_at) if job.is_step else job.plan.target
        self.trial.emitter.emit(PlanChanged(job.plan.start, target, not job.is_step, self._batches_per_epoch))

    def pause(self) -> None:
        """Enter ``paused`` from ``running``. A step outside of a training ends there."""
        if self.trial.state is not State.RUNNING:
            return
        self.trial.report()
        self.trial.progress.pause_at = NEVER
        if self.training is not None and self.training.is_step:
            self._drop_training()
            self.emit_plan()
        self.trial.enter(State.PAUSED)
        self._answer_step_requests()

    def resume(self) -> None:
        """Enter ``running`` again. During a step, only cancel the pause at its end."""
        if self.trial.state is State.RUNNING:
            self.resumes_after_step = True
        else:
            self.trial.enter(State.RUNNING)

    def stop(self, state: State) -> None:
        """Cancel all jobs and enter ``state``; an idle session keeps its state."""
        stopped = _stopped(state)
        self._cancel_side_jobs(stopped)
        if self.trial.state.is_live:
            self.trial.report()
            self._drop_training()
            self.trial.enter(state)
        self._answer_step_requests(error=stopped)

    def add_side_job(self, activity: Activity, steps: Callable[[], Steps], request: Request) -> None:
        """Run ``steps`` before the training continues. A request for an activity that is already queued shares that job."""
        for job in self.side_jobs:
            if job.activity is activity and not job.is_changed:
                job.waiting.append(request)
                return
        self.trial.report()
        doing = "validating" if activity is Activity.VALIDATING else "saving"
        self.side_jobs.append(Job(steps(), activity, doing, waiting=[request]))

    def emit(self, event: Event, job: Job) -> None:
        """Emit an event of ``job``, and update the job accordingly."""
        if isinstance(event, Validated):
            job.result = dict(event.metrics)
            job.is_validating = False
            self.trial.report_missing_metric(event.metrics)
        elif isinstance(event, ActivityChanged):
            job.is_validating = event.activity is Activity.VALIDATING
            job.is_saving = event.activity is Activity.CHECKPOINTING
        self.trial.emitter.emit(event)
        if isinstance(event, Validated):
            self._after_validation(event, job)
        if isinstance(event, Checkpointed):  # only of a checkpoint that this thread wrote; others end in _end_write
            job.result = event.checkpoint
            self._after_checkpoint(event.checkpoint)

    def step(self, request: Request) -> None:
        """Train to the end of the requested step. If another step is under way, train to the later of both ends."""
        progress = self.trial.progress
        pause_at = self._end_of(request)
        progress.pause_at = max(pause_at, progress.pause_at) if self.step_requests else pause_at
        self.step_requests.append(request)
        self.resumes_after_step = False
        if self.trial.state is not State.RUNNING:
            self.trial.enter(State.RUNNING)
        if self.training is None:
            start = progress.batches_trained
            self.begin(lambda: Plan(start=start, target=NEVER, ends_with_boundaries=False))  # it ends with the pause
        else:
            self.emit_plan()

    @staticmethod
    def _end_of(step: Request) -> int:
        command: Any = step.message.command
        return step.at_batch + int(command.batches)

    def end_step(self) -> None:
        """Pause at the end of a step; continue if a command has resumed the training during the step."""
        self.trial.progress.pause_at = NEVER
        if self.resumes_after_step and self.training is not None and not self.training.is_step:
            self._answer_step_requests()
        else:
            self.pause()

    def complete(self, job: Job) -> None:
        """End a job that has no steps left."""
        if job is not self.training:
            if job.is_saving and job.result is None:  # its files are being written, and its requests wait for them
                self.trial.checkpoints.wait_with(job.waiting)
                job.waiting = []
            self.end_side_job(job)
            return
        if self.trial.checkpoints.is_under_way:  # a training ends only when the files of its checkpoints are complete
            job.awaits_files = True
            self.trial.emitter.emit(ActivityChanged(Activity.CHECKPOINTING))
            return
        self.training = None
        self.trial.progress.pause_at = NEVER
        if self.trial.progress.adapter.stop_requested:
            self.trial.emitter.say(f"The trial asked to stop (after batch {self.trial.progress.batches_trained:,}).")
        self.trial.enter(job.ends_in)
        if job.ends_in is not State.FINISHED:
            self._answer_step_requests(error=_stopped(job.ends_in))
            return
        trained = self.trial.progress.batches_trained
        late = [step for step in self.step_requests if step.at_batch == trained and not job.is_step]  # requested after the last batch
        self.step_requests = [step for step in self.step_requests if step not in late]
        self._answer_step_requests()
        for step in late:
            self.step(step)

    def end_early(self, reason: str) -> None:
        """End the training because the trial asks for it: in state ``stopped``, with a checkpoint."""
        self.trial.report()
        with suppress(Exception):  # as in fail()
            self.trial.progress.adapter.discard_batch()
        self.trial.emitter.say(f"{reason} (after batch {self.trial.progress.batches_trained:,}).")
        job = self.training
        if job is None or not self.trial.state.is_live:
            self.stop(State.STOPPED)
            return
        self._cancel_side_jobs(_stopped(State.STOPPED))
        job.cancel()
        is_saved = self.trial.progress.checkpointed_at == self.trial.progress.batches_trained
        job.steps = _no_steps() if is_saved else checkpoint(self.trial.progress, self._save_in_training)
        job.ends_in = State.STOPPED
        self.trial.progress.pause_at = NEVER
        if self.trial.state is State.PAUSED:  # a command had requested a validation during the pause, and the trial raised InvalidHP in it
            self.trial.enter(State.RUNNING)

    def end_side_job(self, job: Job, error: BaseException | None = None) -> None:
        """Remove a side job, and answer its requests with its result or with ``error``."""
        self.side_jobs.remove(job)
        self.trial.emitter.flush(ActivityChanged(Activity.TRAINING if self.trial.state.is_live else Activity.IDLE))
        for request in job.waiting:
            if error is not None:
                request.fail(error)
            else:
                request.done(job.result, **_details(job.result))

    def end_satisfied(self) -> None:
        """End the requested validations that share the result of the training's own one, after the process has its own settings again."""
        satisfied, self._satisfied = self._satisfied, []
        for job in satisfied:
            if job in self.side_jobs:
                self.end_side_job(job)

    def fail(self, doing: str, error: BaseException, waiting: list[Request] | None = None) -> None:
        """Enter ``failed``, because the user's code raised ``error`` while ``doing``; all waiting requests fail with the same error."""
        hint = self.trial.progress.adapter.explain(error)
        failure = describe(error, self.trial.loaded.roots, f"{doing}, after batch {self.trial.progress.batches_trained:,}")
        failure.hint = failure.hint or hint
        self.trial.report()
        others = [request for job in self.side_jobs if job.waiting is not waiting for request in job.waiting]
        waiting_requests = [*(waiting or ()), *others, *self.step_requests]
        self.side_jobs.clear()
        self.step_requests.clear()
        self._drop_training()
        with suppress(Exception):  # a broken device can fail here again; the first failure is the one to report
            self.trial.progress.adapter.discard_batch()
        self.trial.emitter.flush(Failed(error_record(failure), self.trial.progress.batches_trained, ErrorAnswer.of(failure)))
        self.trial.enter(State.FAILED)
        for request in waiting_requests:
            request.fail(failure)

    def abandon(self, error: BaseException) -> TrialError:
        """Fail all waiting requests, because an internal error, ``error``, ends the thread. Emits only the failure and the new state."""
        what = summary(error)
        failure = TrialError("Internal error in detjupyter; please report it.", exception=what, hint="Load the definition again.")
        waiting = [request for job in self.side_jobs for request in job.waiting]
        waiting += [*self.step_requests, *self.awaiting_files, *self.trial.checkpoints.abandon()]
        self.side_jobs.clear()
        self.step_requests, self.awaiting_files, self.training, self.trial.state = [], [], None, State.FAILED
        with suppress(Exception):  # emitting may be the part that is broken
            self.trial.emitter.emit(Failed(error_record(failure), self.trial.progress.batches_trained, ErrorAnswer.of(failure)))
            self.trial.enter(State.FAILED)
        for request in waiting:
            with suppress(Exception):
                request.fail(failure)
        return failure

    def _cancel_side_jobs(self, error: SessionError) -> None:
        for job in list(self.side_jobs):
            job.cancel()
            self.end_side_job(job, error=error)

    def _drop_training(self) -> None:
        if self.training is not None:
            self.training.cancel()
            self.training = None
        self.trial.progress.pause_at = NEVER

    def _answer_step_requests(self, error: BaseException | None = None) -> None:
        requests, self.step_requests = self.step_requests, []
        for request in requests:
            if error is not None:
                request.fail(error)
            else:
                request.done()

    def _after_validation(self, event: Validated, job: Job) -> None:
        if self.trial.ranking.add(event.metrics, event.batches_trained) and self.trial.ranking.best is not None:
            self.trial.emitter.emit(BestChanged(self.trial.ranking.best))
        if job is self.training:
            # A validation that a command requested would repeat this one: no batch was trained since, and none of them has begun.
            for waiting in [side for side in self.side_jobs if side.activity is Activity.VALIDATING]:
                waiting.result = job.result
                self._satisfied.append(waiting)

    def _save_in_training(self) -> CheckpointRecord | None:
        try:
            plan = self.training.plan if self.training is not None else None
            return self.trial.save(automatic=plan is None or not plan.keeps_checkpoints)
        except CheckpointError as error:
            self.trial.emitter.warn(str(error), Until.TRAINING)
            return None

    def _end_write(self, written: Written) -> None:
        """Emit a complete checkpoint, or report why it could not be written, and answer the requests that wait for it."""
        waiting, error = written.write.waiting, written.error
        if written.record is not None:
            is_current = written.write.moment == self.trial.progress.moment
            self.trial.emitter.flush(Checkpointed(written.record, is_current))
            try:
                with self.trial.user_code():
                    self._after_checkpoint(written.record)
            except BaseException as raised:  # a callback of the trial raised it; the checkpoint is complete nevertheless
                self.fail("notifying the trial of a checkpoint", raised)
        elif isinstance(error, CheckpointError) and not waiting:
            self.trial.emitter.warn(str(error), Until.TRAINING)
            self.trial.emitter.flush()
        elif error is not None and not isinstance(error, CheckpointError):
            self.fail("saving", error, waiting)
            waiting = []
        for request in waiting:
            if error is not None:
                request.fail(error)
            else:
                request.done(written.record, **_details(written.record))
        if not self.trial.checkpoints.is_under_way:
            awaiting, self.awaiting_files = self.awaiting_files, []
            for request in awaiting:
                request.done()

    def _after_checkpoint(self, record: CheckpointRecord) -> None:
        self.trial.emitter.flush()
        self.trial.progress.adapter.checkpointed(record.id)


def _details(result: Any) -> dict[str, Any]:  # Any: jobs have various results
    """Return the facts for the record of a command besides its arguments: where a checkpoint was saved."""
    return {"checkpoint": result.path} if isinstance(result, CheckpointRecord) else {}


def _no_steps() -> Steps:
    yield from ()


def _stopped(state: State) -> SessionError:
    return SessionError("Canceled: the session was stopped.", state=state.value)
