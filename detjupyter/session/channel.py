"""The interface between a session and a view: the data to draw, and commands to the session."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from detjupyter.protocol.commands import Command
from detjupyter.protocol.records import LogLine, SeriesPatch, SessionRecord
from detjupyter.protocol.states import Group

if TYPE_CHECKING:
    from detjupyter.store.series import Cursor

LOG_LINES_KEPT = 2000


class Channel(Protocol):
    """The two-way connection between a session and a view.

    Thread: every method may be called from any thread and returns at once.
    """

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` on every update; return a function that ends the subscription.

        The listener runs in the engine's thread, at most about ten times a second and at every change of state. It must be quick and
        must not raise.
        """

    def record(self) -> SessionRecord:
        """Return the current state of the session."""

    def patches(self, cursors: dict[tuple[Group, str], Cursor]) -> list[SeriesPatch]:
        """Return the new points of the curves since ``cursors``, and advance the cursors; without cursors, return the whole curves."""

    def log(self, after: int) -> tuple[int, tuple[LogLine, ...]]:
        """Return the total number of log lines, and the lines after the first ``after``, at most the last 2,000."""

    def send(self, command: Command) -> Future[Any]:
        """Send ``command``; the future resolves when it is answered, with a ``DetJupyterError`` if it is refused or fails."""


@dataclass(frozen=True, slots=True)
class SessionChannel:
    """The :class:`Channel` of a session, made of the methods of its parts."""

    subscribe: Callable[[Callable[[], None]], Callable[[], None]]
    record: Callable[[], SessionRecord]
    patches: Callable[[dict[tuple[Group, str], Cursor]], list[SeriesPatch]]
    log: Callable[[int], tuple[int, tuple[LogLine, ...]]]
    send: Callable[[Command], Future[Any]]
