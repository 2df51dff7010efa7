"""What a view gets to know of a session: enough to draw it and to ask it for something, and nothing more."""

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
    """The two-way street between a session and a view.

    Thread: every method may be called from any thread and returns at once.
    """

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have ``listener`` called when there is something new; return the function that ends the subscription.

        The listener runs in the driver's thread, at most about ten times a second and at every change of state. It must be quick and
        must not raise.
        """

    def record(self) -> SessionRecord:
        """Return the session as it stands."""

    def patches(self, cursors: dict[tuple[Group, str], Cursor]) -> list[SeriesPatch]:
        """Return what is new in the curves since ``cursors``, and move the cursors; with none, return the whole curves."""

    def log(self, after: int) -> tuple[int, tuple[LogLine, ...]]:
        """Return the number of lines ever written and those after the first ``after``, at most the last 2,000."""

    def send(self, command: Command) -> Future[Any]:
        """Ask for ``command``; the future resolves when it is done, or to a ``DetJupyterError`` when it is refused or fails."""


@dataclass(frozen=True, slots=True)
class SessionChannel:
    """The :class:`Channel` of a session: the methods of its parts, side by side."""

    subscribe: Callable[[Callable[[], None]], Callable[[], None]]
    record: Callable[[], SessionRecord]
    patches: Callable[[dict[tuple[Group, str], Cursor]], list[SeriesPatch]]
    log: Callable[[int], tuple[int, tuple[LogLine, ...]]]
    send: Callable[[Command], Future[Any]]
