"""The situation of a session, which decides the commands that it accepts, and the possible verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from detjupyter.protocol.states import Activity, State


class Verdict(Enum):
    """Whether a command is allowed, idle or refused, and why it is refused."""

    ALLOWED = "allowed"
    IDLE = "idle"
    NOT_TRAINING = "not training"
    NOTHING_TO_RESUME = "nothing to resume"
    BUSY = "busy"
    VALIDATING = "validating"
    NOT_LOADED_FROM_FILES = "not loaded from files"
    CLOSED = "closed"

    @property
    def is_refusal(self) -> bool:
        """Whether the command is refused."""
        return self not in (Verdict.ALLOWED, Verdict.IDLE)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the verdict depends on. An engine does not set the last two fields: it gets no command when closed or stuck.

    Attributes:
        state: The state of the session.
        has_training: Whether a training is running or paused; a step outside of a training does not count.
        activity: What the engine is doing.
        can_reload: Whether the trial was loaded from files.
        is_closed: Whether the session is closed.
        is_stuck: Whether a batch has not ended for several seconds.
    """

    state: State
    has_training: bool = False
    activity: Activity = Activity.IDLE
    can_reload: bool = True
    is_closed: bool = False
    is_stuck: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether a training or a step is running or paused."""
        return self.state is State.RUNNING or self.has_training
