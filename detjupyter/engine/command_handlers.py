"""Executes commands in an engine: one handler for each kind.

Before it calls a handler, the driver checks with :mod:`detjupyter.protocol.allowed` that the state allows the command. An exception that a
handler raises refuses the command.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from detjupyter.engine.checkpoints.manifest import resolved
from detjupyter.engine.checkpoints.restoring import other_hyperparameters, restore_checkpoint
from detjupyter.engine.failure import without_own_frames
from detjupyter.engine.jobs import Job
from detjupyter.engine.loop import Steps, checkpoint, validate
from detjupyter.engine.memory import free_memory, reference_to
from detjupyter.engine.plan import Plan, check, needs_data
from detjupyter.engine.reloading import reload
from detjupyter.engine.requests import Request
from detjupyter.errors import CheckpointError, LengthError, SessionError
from detjupyter.protocol.commands import AtBatch, Restore, Step, Train
from detjupyter.protocol.events import Moved, Until
from detjupyter.protocol.states import Activity, State

if TYPE_CHECKING:
    from detjupyter.engine.job_control import JobControl


class Handler(ABC):
    """Executes the commands of one kind.

    Args:
        control: The engine's jobs and its trial.

    Attributes:
        kind: The kind of the commands.
        is_urgent: Whether such a command overtakes commands that wait for validations and checkpoints, because it pauses, resumes or
            stops the training.
    """

    kind: ClassVar[str]
    is_urgent: ClassVar[bool] = False

    def __init__(self, control: JobControl) -> None:
        self.control = control

    def waits_for(self, job: Job) -> bool:  # noqa: ARG002
        """Return whether the command waits for the end of ``job``, a validation or a checkpoint that was requested before it."""
        return False

    @abstractmethod
    def run(self, command: Any, request: Request) -> None:  # Any: each handler has its own class of commands
        """Execute ``command``, and answer ``request`` now or arrange for a later answer.

        Raises:
            BaseException: The command is refused. The handler must raise before it changes anything.
        """


class TrainHandler(Handler):
    """Begins a training. The answer comes before the data is built, unless the plan depends on the data."""

    kind = "train"

    def run(self, command: Train, request: Request) -> None:
        """Make the plan and enter ``running``. If the training cannot be planned, the state stays the same."""
        check(command)
        control, before = self.control, self.control.trial.state
        if needs_data(command) and not control.has_data:
            control.trial.enter(State.RUNNING)  # before the plan: building the data can take long, and views should show that it runs
        planned: Future[Plan] = Future()
        try:
            planned.set_result(control.plan(command))
        except LengthError:
            if control.trial.state is not before:
                control.trial.enter(before)
            raise
        except BaseException as error:  # the user's code builds the data; its error fails a training that has begun
            planned.set_exception(error)
        if control.trial.state is not State.RUNNING:
            control.trial.enter(State.RUNNING)
        request.done()
        control.begin(planned.result)


class PauseHandler(Handler):
    """Pauses the training. Handlers run between two batches, so the current batch has ended."""

    kind = "pause"
    is_urgent = True

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Enter ``paused``."""
        self.control.pause()
        request.done()


class ResumeHandler(Handler):
    """Resumes a paused training. During a step, the training then continues after the step."""

    kind = "resume"
    is_urgent = True

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Enter ``running``."""
        self.control.resume()
        request.done()


class StepHandler(Handler):
    """Trains a number of batches, then pauses. The answer comes at the end of the step, or at an earlier pause."""

    kind = "step"

    def run(self, command: Step, request: Request) -> None:
        """Continue the training to the end of the step, or of another current step if that is later."""
        if type(command.batches) is not int or command.batches < 1:
            raise LengthError(f"A step is at least one batch, not {command.batches!r}.")
        self.control.step(request)


class StopHandler(Handler):
    """Stops the training and cancels validations and checkpoints."""

    kind = "stop"
    is_urgent = True

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Enter ``stopped``."""
        self.control.stop(State.STOPPED)
        request.done()


class ValidateHandler(Handler):
    """Validates now. Requests that arrive before the validation begins share it."""

    kind = "validate"

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Add a validation as a side job."""
        self.control.add_side_job(Activity.VALIDATING, lambda: validate(self.control.trial.progress), request)


class CheckpointHandler(Handler):
    """Saves a checkpoint now. The answer comes when its files are complete."""

    kind = "checkpoint"

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Add a checkpoint as a side job."""
        self.control.add_side_job(Activity.CHECKPOINTING, self._steps, request)

    def _steps(self) -> Steps:
        return checkpoint(self.control.trial.progress, lambda: self.control.trial.save(automatic=False))


class RestoreHandler(Handler):
    """Restores a checkpoint."""

    kind = "restore"

    def waits_for(self, job: Job) -> bool:  # noqa: ARG002
        """Wait for all jobs, because they were requested for the present state of the trial."""
        return True

    def run(self, command: Restore, request: Request) -> None:
        """Restore the checkpoint. If that fails, the trial keeps its present state. The answer is a notice, or None."""
        control = self.control
        if not isinstance(command.path, str):
            raise CheckpointError(f"A checkpoint is restored from the path of its directory, not from {command.path!r}.")
        control.trial.report()
        with control.trial.emitter.renewing(Until.RESTORE), control.trial.user_code():
            run_id = restore_checkpoint(control.trial.progress, Path(command.path), trust=command.trust)
        progress = control.trial.progress
        notice = other_hyperparameters(Path(command.path), control.trial.loaded.config.hyperparameters)
        if notice is not None:
            control.trial.emitter.say(notice)
        checkpoint = None if run_id is None else resolved(Path(command.path)).name
        control.trial.emitter.flush(Moved(progress.batches_trained, progress.records_trained, run_id, checkpoint))
        request.done(notice)


class ReloadHandler(Handler):
    """Loads the definition again, and continues with the same weights."""

    kind = "reload"

    def waits_for(self, job: Job) -> bool:  # noqa: ARG002
        """Wait for all jobs, because they were requested for the present code."""
        return True

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Reload the code. If that fails, the present trial stays."""
        control = self.control
        control.trial.report()  # these metrics come from the old code
        replaced = reference_to(control.trial.loaded.adapter.trial)
        try:
            report, number = reload(control.trial)
        except BaseException as error:
            control.trial.emitter.flush()  # printed lines come before the answer
            # Answer before the garbage collection: the panel shows an answer at its button only if it comes within 0.25 s.
            request.reject(error)
            free_memory(control.trial.loaded.adapter.free_device_memory)  # the rejected trial can be partly built, and in reference cycles
            return
        control.has_data = False
        free_memory(control.trial.loaded.adapter.free_device_memory, replaced)
        control.trial.emitter.flush()
        request.done((report.before, report.now), code=report.now.code_hash, load=number)


class AtBatchHandler(Handler):
    """Calls the user's function between two batches, with the trial as its argument."""

    kind = "at_batch"

    def waits_for(self, job: Job) -> bool:
        """Wait for jobs that have not begun, and for a checkpoint that is about to copy the state.

        The function can run between two batches of a validation, and while a checkpoint waits for the files of an earlier one: both can
        take long.
        """
        return not (job.is_validating or (job.is_saving and self.control.trial.checkpoints.is_under_way))

    def run(self, command: AtBatch, request: Request) -> None:
        """Call the function. An exception that it raises is the answer."""
        control = self.control
        if command.function is None:
            raise SessionError(
                "An engine in another process cannot call a function.",
                state=control.trial.state.value,
                hint="Send its source text, or work on a copy of the trial in this process.",
            )
        control.trial.report()
        control.trial.progress.note_replaced()  # the function can change anything of the trial
        for job in control.side_jobs:
            job.is_changed = True
        try:
            with control.trial.user_code(), control.trial.progress.adapter.active():
                result = command.function(control.trial.loaded.adapter.trial)
        except BaseException as error:  # the sender gets it
            control.trial.emitter.flush()
            request.fail(without_own_frames(error))
            return
        control.trial.emitter.flush()  # views show at once what the function has printed
        request.done(result)


class AwaitFilesHandler(Handler):
    """Answers when no checkpoint is being written."""

    kind = "await_files"

    def run(self, command: Any, request: Request) -> None:  # noqa: ARG002
        """Answer now, or when the last write has ended."""
        if self.control.trial.checkpoints.is_under_way:
            self.control.awaiting_files.append(request)
        else:
            request.done()


HANDLERS: dict[str, type[Handler]] = {
    handler.kind: handler
    for handler in (
        *(TrainHandler, PauseHandler, ResumeHandler, StepHandler, StopHandler, ValidateHandler, CheckpointHandler),
        *(RestoreHandler, ReloadHandler, AtBatchHandler, AwaitFilesHandler),
    )
}
