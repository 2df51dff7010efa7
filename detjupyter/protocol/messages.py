"""The messages between a kernel or a server and a browser.

* A widget's comm: the view sends ``hello`` when it mounts (earlier messages are lost) and is answered with a ``snapshot``; then
  ``update`` messages follow, at most ten per second. The arrays of every patch are sent as two binary buffers of little-endian float64,
  batches then values, in the order of ``patches``.
* The server's WebSocket: ``watch`` selects the run whose curves and log to send; ``runs``, ``series`` and ``log`` messages follow, with
  arrays as JSON lists in which NaN and the infinities are the strings of :mod:`detjupyter.protocol.wire`. ``history_watched`` says that
  they cannot be read, or can be read again. ``watch_definition`` selects
  the definition whose edits on disk to report; ``definition_watched``, ``definition_changed`` and ``scan_progress`` follow.
* A kernel's control channel: ``det_control_request`` with a ``ControlRequest``, answered by ``det_control_reply`` with a ``ControlReply``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from detjupyter.protocol.records import CardRecord, LogLine, RunRecord, SeriesPatch, SessionRecord
from detjupyter.protocol.states import Group

PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class PatchHeader:
    """A :class:`SeriesPatch` whose ``count`` points are in two buffers sent with the message."""

    group: Group
    name: str
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Hello:
    """View to kernel: the view is mounted and needs the whole state."""

    kind: ClassVar[str] = "hello"


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """View to kernel: run ``command``, and answer with a ``reply`` of the same ``id``."""

    kind: ClassVar[str] = "command"
    id: int
    command: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """Kernel to view: the answer to the command ``id``; ``error`` is None if it succeeded."""

    kind: ClassVar[str] = "reply"
    id: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Kernel to view: the whole state."""

    kind: ClassVar[str] = "snapshot"
    protocol: int
    session: SessionRecord
    patches: tuple[PatchHeader, ...]
    log: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """Kernel to view: the changes; ``log`` contains only new lines."""

    kind: ClassVar[str] = "update"
    session: SessionRecord
    patches: tuple[PatchHeader, ...]
    log: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """Browser to server: send the curves and the log of this run (of none, if null).

    A connection can watch several runs, and one run several times: ``number`` tells them apart, and is in the messages about each.
    """

    kind: ClassVar[str] = "watch"
    run_id: str | None
    number: int = 0


@dataclass(frozen=True, slots=True)
class WatchDefinition:
    """Browser to server: report changes on disk in this definition (in none, if null), and the progress of its scans."""

    kind: ClassVar[str] = "watch_definition"
    path: str | None


@dataclass(frozen=True, slots=True)
class RunsMessage:
    """Server to browser: these runs are new or changed."""

    kind: ClassVar[str] = "runs"
    runs: tuple[RunRecord, ...]


@dataclass(frozen=True, slots=True)
class RunsRemoved:
    """Server to browser: these runs were deleted."""

    kind: ClassVar[str] = "runs_removed"
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesMessage:
    """Server to browser: points of the watched run."""

    kind: ClassVar[str] = "series"
    run_id: str
    patches: tuple[SeriesPatch, ...]
    number: int = 0


@dataclass(frozen=True, slots=True)
class LogMessage:
    """Server to browser: new log lines of the watched run."""

    kind: ClassVar[str] = "log"
    run_id: str
    lines: tuple[LogLine, ...]
    number: int = 0


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """What failed, and what the user can do."""

    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class HistoryWatched:
    """Server to browser: why the history, or with ``run_id`` the watched run, cannot be read. The server tries again by itself.

    ``failure`` is null as soon as it can be read again.
    """

    kind: ClassVar[str] = "history_watched"
    run_id: str | None
    failure: FailureRecord | None
    number: int = 0


@dataclass(frozen=True, slots=True)
class DefinitionWatched:
    """Server to browser: whether the server sees edits of the definition; if not, the browser has to poll.

    ``failure`` says why the definition cannot be watched; the server tries again by itself.
    """

    kind: ClassVar[str] = "definition_watched"
    path: str
    watched: bool
    failure: FailureRecord | None = None


@dataclass(frozen=True, slots=True)
class DefinitionChanged:
    """Server to browser: a file of the definition was written, added, renamed or deleted."""

    kind: ClassVar[str] = "definition_changed"
    path: str


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """Server to browser: the number of paths that the scan of the definition has found so far."""

    kind: ClassVar[str] = "scan_progress"
    path: str
    found: int


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Server to kernel, on the control channel. Without ``command`` the server only asks what is loaded."""

    kind: ClassVar[str] = "control"
    session_id: str | None
    command: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command ended that was accepted first; ``ticket`` is that of the reply, ``error`` is None if the command succeeded."""

    ticket: int
    error: str | None
    hint: str | None


@dataclass(frozen=True, slots=True)
class ControlReply:
    """Kernel to server: the kernel's sessions, the current one last, and the error of the command if it was refused.

    ``accepted`` is true if the command has not ended yet: its outcome, with the same ``ticket``, will be among the ``outcomes`` of a later
    reply.
    """

    kind: ClassVar[str] = "control_reply"
    protocol: int
    sessions: tuple[SessionRecord, ...]
    cards: tuple[CardRecord, ...]
    accepted: bool
    error: str | None
    ticket: int | None = None
    outcomes: tuple[CommandOutcome, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelReply:
    """Server to browser: the answer of a kernel. ``definition_paths`` are the definitions of the sessions, relative to the server's root.

    A path is null if the definition is outside of that root.
    ``loaded`` is false if the kernel has not loaded detjupyter (or is still starting); then the lists are empty.
    """

    kind: ClassVar[str] = "kernel"
    loaded: bool
    sessions: tuple[SessionRecord, ...]
    cards: tuple[CardRecord, ...]
    definition_paths: tuple[str | None, ...]
    accepted: bool
    error: str | None
    ticket: int | None = None
    outcomes: tuple[CommandOutcome, ...] = ()
