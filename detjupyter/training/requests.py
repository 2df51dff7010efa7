"""What is asked of a driver besides the commands of the protocol, and the jobs that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from detjupyter.protocol.commands import Command
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.states import State
from detjupyter.training.loop import Steps
from detjupyter.training.plan import Plan


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


@dataclass(slots=True, eq=False)
class Write:
    """A checkpoint of which the state is copied and the files are being written; ``waiting`` is empty if nobody asked for it."""

    batches_trained: int
    waiting: list[Future[Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    """Take note of what came of ``write``: ``record``, or the ``error`` that ended it."""

    write: Write
    record: CheckpointRecord | None
    error: BaseException | None


Request = Command | Train | Call | Close | Written


@dataclass(slots=True)
class Job:
    """Steps to take, and who waits for them; ``result`` is what the last validation or checkpoint among them gave.

    ``is_validating`` in the middle of a validation, ``is_saving`` while the next step copies the state for a checkpoint, ``is_through``
    when no step is left and only files are still to be written. ``ends_in`` is the state that a training ends in.
    """

    steps: Steps
    doing: str
    plan: Plan | None = None
    waiting: list[Future[Any]] = field(default_factory=list)
    result: Any = None
    is_validating: bool = False
    is_saving: bool = False
    is_through: bool = False
    ends_in: State = State.FINISHED

    @property
    def is_step(self) -> bool:
        """Whether these are batches beside any training, up to where they are held."""
        return self.plan is not None and not self.plan.ends_with_boundaries

    def give_up(self) -> None:
        """Take no further step."""
        with suppress(Exception):  # what the user's code does while it is given up concerns nobody any more
            self.steps.close()


def settle(future: Future[Any], result: Any = None, *, error: BaseException | None = None) -> None:
    """Tell whoever waits what came of it."""
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
