"""The interface between the training and its session: an engine receives commands and publishes events, both as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from detjupyter.protocol.commands import CommandMessage
from detjupyter.protocol.events import Event
from detjupyter.protocol.recipe import LoadedRecord
from detjupyter.protocol.states import State

Publish = Callable[[Event], None]


class Engine(ABC):
    """Owns one trial: imports its definition, builds, trains, validates, saves and closes it, all in one thread.

    An implementation must guarantee:

    * Events are passed to ``publish`` in the order in which they happen, from one thread at a time. ``publish`` is quick and never raises.
    * Every command is answered exactly once: with a result, with the error that refused it, or with the error that ended it. The event
      about the answer (:class:`~detjupyter.protocol.events.CommandAnswered`) is published before the sender gets the answer.
    * After :meth:`close` every command is refused.

    Commands, answers and events are data, so the trial can run in this process or in another one. The exceptions are :attr:`trial`,
    :attr:`context` and commands that contain a function; engines in other processes refuse them.

    Attributes:
        opened: The record of the load, or the error that ended it.
        ended: Done when the engine has ended for any reason: it was closed or killed, or it has failed because of a bug in detjupyter.
    """

    opened: Future[LoadedRecord]
    ended: Future[None]

    @abstractmethod
    def send(self, message: CommandMessage) -> Future[Any]:
        """Send a command, and return at once. The future receives the answer; canceling it before the command begins cancels the command.

        Thread: any.
        """

    @abstractmethod
    def close(self, state: State, *, limit_s: float | None = None) -> bool:
        """Cancel the current training, release the trial and end the thread. Can be called twice.

        Args:
            state: The state to enter if this cancels a training; an idle session keeps its state.
            limit_s: How long to wait for the current batch, in seconds; None for the default. The limit is longer while a checkpoint is
                being written.

        Returns:
            Whether the engine has ended. False if the current batch takes longer, or if the calling thread is the engine's own.

        Thread: any.
        """

    @abstractmethod
    def close_soon(self) -> None:
        """Ask the engine to end, and return at once."""

    def awaited(self) -> AbstractContextManager[None]:
        """Return a context manager for a thread that waits for the trial and runs no other user code inside the block."""
        return nullcontext()

    @abstractmethod
    def interrupt(self) -> None:
        """End a load that is under way, and return at once."""

    @abstractmethod
    def kill(self) -> None:
        """Abandon an engine that does not answer, and return at once. Its thread ends if it can be interrupted."""

    @property
    @abstractmethod
    def is_own_thread(self) -> bool:
        """Whether the calling thread is the engine's own, which cannot wait for itself."""

    @property
    @abstractmethod
    def trial(self) -> Any:
        """The user's trial.

        Raises:
            SessionError: The trial is not in this process, or the engine is closed.
        """

    @property
    @abstractmethod
    def context(self) -> Any:
        """The context of the trial; raises like :attr:`trial`."""

    @abstractmethod
    def stack(self) -> str:
        """Return the present frames of the engine's thread as text, only the user's own if there are any; empty if it has ended."""
