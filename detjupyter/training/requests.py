"""What is asked of a driver besides the commands of the protocol, and the jobs that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from detjupyter.protocol.commands import Command
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


Request = Command | Train | Call | Close


@dataclass(slots=True)
class Job:
    """Steps to take, and who waits for them; ``result`` is what the last validation or checkpoint among them gave."""

    steps: Steps
    doing: str
    plan: Plan | None = None
    waiting: list[Future[Any]] = field(default_factory=list)
    result: Any = None

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
