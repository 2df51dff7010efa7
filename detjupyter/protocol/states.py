"""The states of a session and of a run, and the activities of an engine."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The state of a session or a run.

    A session is never ``INTERRUPTED``: a run gets this state if its kernel died while it was running or paused.
    """

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_live(self) -> bool:
        """Whether a training is running or paused."""
        return self in (State.RUNNING, State.PAUSED)


class Activity(StrEnum):
    """What the engine is doing at this moment."""

    IDLE = "idle"
    TRAINING = "training"
    VALIDATING = "validating"
    CHECKPOINTING = "checkpointing"


class Group(StrEnum):
    """Which series a metric belongs to: one point per batch, or one per validation."""

    TRAINING = "training"
    VALIDATION = "validation"
