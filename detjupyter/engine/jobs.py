"""A job of the driver: a training, a step, a validation or a checkpoint, with the requests that wait for its end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from detjupyter.engine.loop import Steps
from detjupyter.engine.plan import Plan
from detjupyter.engine.requests import Request
from detjupyter.protocol.states import Activity, State


@dataclass(slots=True, eq=False)
class Job:
    """Steps of the loop, and the requests that wait for them.

    Attributes:
        steps: The remaining steps.
        activity: TRAINING, VALIDATING or CHECKPOINTING.
        doing: The activity in words, to follow "while".
        plan: The plan of a training or a step; None for other jobs.
        waiting: The requests that are answered at its end.
        result: The result of its last validation or checkpoint.
        is_validating: Whether it is in the middle of a validation.
        is_saving: Whether its next step copies the state for a checkpoint.
        is_changed: Whether a function of the user was called after it had begun. A later request needs a job of its own.
        awaits_files: Whether it has no steps left and only waits for the files of its checkpoints.
        ends_in: The state at the end of a training.
    """

    steps: Steps
    activity: Activity
    doing: str
    plan: Plan | None = None
    waiting: list[Request] = field(default_factory=list)
    result: Any = None
    is_validating: bool = False
    is_saving: bool = False
    is_changed: bool = False
    awaits_files: bool = False
    ends_in: State = State.FINISHED

    @property
    def is_step(self) -> bool:
        """Whether this is a step outside of a training, which ends at a pause."""
        return self.plan is not None and not self.plan.ends_with_boundaries

    def cancel(self) -> None:
        """Drop the remaining steps."""
        with suppress(Exception):  # user code can raise while its generator is closed; the job is canceled nevertheless
            self.steps.close()
