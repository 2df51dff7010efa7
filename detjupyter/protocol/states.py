"""The states of a session and of a run, and what a session is busy with."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """Where a session or a run stands.

    A session is never ``INTERRUPTED``: that is what a run becomes when its kernel died while it was running or paused.
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
        """Whether a training is under way, running or paused."""
        return self in (State.RUNNING, State.PAUSED)


class Activity(str, Enum):
    """What the driver is doing at this moment."""

    IDLE = "idle"
    TRAINING = "training"
    VALIDATING = "validating"
    CHECKPOINTING = "checkpointing"


class Group(str, Enum):
    """Which series a metric belongs to: one point per batch, or one per validation."""

    TRAINING = "training"
    VALIDATION = "validation"
