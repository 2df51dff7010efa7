"""The live view of a training: a widget that follows a session."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from detjupyter.errors import DetJupyterError
from detjupyter.next_step import worded
from detjupyter.picture.output import Bundle, reference
from detjupyter.picture.summary import session_text
from detjupyter.protocol.commands import parse_command
from detjupyter.protocol.messages import PROTOCOL_VERSION, PatchHeader, Reply, Snapshot, Update
from detjupyter.protocol.records import SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.protocol.wire import to_json

if TYPE_CHECKING:
    from detjupyter.session.channel import Channel
    from detjupyter.store.series import Cursor

_MODULE = Path(__file__).parent / "static" / "live.js"
_log = logging.getLogger(__name__)


class LiveView(anywidget.AnyWidget):
    """A live view of a training: curves, progress, buttons, log. Display it; it follows ``channel`` until it is closed.

    The widget's traits contain no history. A view says hello when it mounts. It then gets everything recorded so far, then updates, with
    the curves as binary buffers (see :mod:`detjupyter.protocol.messages`). Nothing is sent before the first hello.

    Attributes:
        hellos: How many views have mounted so far, for example again after a reload of the page.

    Thread: messages of the browser arrive in the main thread or in one of ipykernel's subshells, notifications of the session in the
    engine's thread. One lock keeps the cursors consistent with what was sent.

    Raises:
        DetJupyterError: the browser side was not built (a fresh checkout).
    """

    _esm: ClassVar[Any] = traitlets.Unicode().tag(sync=True)

    def __init__(self, channel: Channel) -> None:
        self.hellos = 0
        self._channel = channel
        self._lock = threading.Lock()
        self._cursors: dict[tuple[Group, str], Cursor] = {}
        self._log_cursor = 0
        super().__init__(_esm=_read_module())
        _answer_in_subshells(self.comm)
        self.on_msg(self._receive)
        self._unsubscribe = channel.subscribe(self._follow)

    def __repr__(self) -> str:
        """Return the summary of the session. A notebook saved during the training contains it as text."""
        return session_text(self._channel.record())

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[Bundle, Bundle]:
        """Return the widget together with the reference to the run, which front ends with our extension prefer to the widget."""
        shown = super()._repr_mimebundle_(**kwargs)
        data, metadata = shown if isinstance(shown, tuple) else (shown or {}, {})
        return {**reference(self._channel.record().run_id), **data}, metadata

    def close(self) -> None:
        """Remove the widget from every page and stop following the session. Idempotent."""
        unsubscribe: Callable[[], None] | None = getattr(self, "_unsubscribe", None)
        if unsubscribe is not None:
            unsubscribe()
        layout = getattr(self, "layout", None)  # None: the constructor failed
        super().close()
        if layout is not None:  # a separate widget, with its own comm
            layout.close()

    def _receive(self, _: LiveView, content: Any, __: Sequence[memoryview]) -> None:  # Any: it comes from a browser
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            self._send_everything()
        elif kind == "command":
            self._obey(content.get("id"), content.get("command"))

    def _send_everything(self) -> None:
        with self._lock:
            self.hellos += 1
            self._cursors = {}
            session = self._channel.record()
            patches = self._channel.patches(self._cursors)
            self._log_cursor, lines = self._channel.log(0)
            self._transmit(Snapshot(PROTOCOL_VERSION, session, _headers(patches), lines), patches)

    def _follow(self) -> None:
        """Send the changes. Never raises: it runs in the engine's thread."""
        try:
            with self._lock:
                if self.hellos:
                    # Read the record first, so that the curves are never older than the record.
                    session = self._channel.record()
                    patches = self._channel.patches(self._cursors)
                    self._log_cursor, lines = self._channel.log(self._log_cursor)
                    self._transmit(Update(session, _headers(patches), lines), patches)
        except Exception:  # an edge: a view must not end a training
            _log.exception("The live view could not be updated.")

    def _obey(self, request_id: Any, command: Any) -> None:  # Any: they come from a browser
        def answer(future: Future[Any]) -> None:
            error = future.exception() if not future.cancelled() else DetJupyterError("The session was closed before it ran the command.")
            self._reply(request_id, error)

        try:
            self._channel.send(parse_command(command)).add_done_callback(answer)
        except DetJupyterError as error:
            self._reply(request_id, error)

    def _reply(self, request_id: Any, error: BaseException | None) -> None:
        try:
            self.send(_printable(Reply(request_id, None if error is None else _sentence(error))))
        except Exception:  # an edge: it runs where the command was run, in the engine's thread
            _log.exception("The answer to a command could not be sent to the live view.")

    def _transmit(self, message: Snapshot | Update, patches: Sequence[SeriesPatch]) -> None:
        buffers = [column.astype("<f8").tobytes() for patch in patches for column in (patch.batches, patch.values)]
        self.send(_printable(message), buffers)


def _read_module() -> str:
    try:
        return _MODULE.read_text("utf-8")
    except FileNotFoundError as error:
        raise DetJupyterError(
            "The browser side of the live view was not built.",
            where=str(_MODULE),
            hint="Run `make lab`, or `npm ci && npm run build`, in the checkout. A wheel brings it along.",
        ) from error


def _answer_in_subshells(comm: Any) -> None:  # Any: ipykernel's comm has no types
    """Let a subshell receive messages of the browser while a cell is busy.

    ipykernel 7.4 sends them to the subshell that last wrote to the comm. For a widget created in a cell that is the busy main subshell.
    This uses private API; versions without it do not need this fix.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default


def _printable(message: Any) -> Any:
    """Return a message as JSON data for a comm, which makes text of it again."""
    return json.loads(to_json(message))


def _headers(patches: Sequence[SeriesPatch]) -> tuple[PatchHeader, ...]:
    return tuple(PatchHeader(patch.group, patch.name, patch.start, len(patch.batches)) for patch in patches)


def _sentence(error: BaseException) -> str:
    if isinstance(error, DetJupyterError):
        return f"{error.message}\n{worded(error.hint)}" if error.hint else error.message
    return f"{type(error).__name__}: {error}"
