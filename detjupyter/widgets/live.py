"""The live view of a training, and the picture that takes its place when the training has ended."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from detjupyter.errors import DetJupyterError
from detjupyter.protocol.commands import parse_command
from detjupyter.protocol.messages import PROTOCOL_VERSION, PatchHeader, Reply, Snapshot, Update
from detjupyter.protocol.records import SeriesPatch
from detjupyter.protocol.states import Group, State
from detjupyter.protocol.wire import encode
from detjupyter.widgets.picture import static_picture
from detjupyter.widgets.summary import session_text

if TYPE_CHECKING:
    from detjupyter.store.series import Cursor
    from detjupyter.training.channel import Channel

_MODULE = Path(__file__).parent / "static" / "live.js"
_ENDED = (State.FINISHED, State.STOPPED, State.FAILED, State.INTERRUPTED)
_log = logging.getLogger(__name__)


class LiveView(anywidget.AnyWidget):
    """A training as it goes: curves, progress, buttons, log. Display it; it follows ``channel`` until it is closed.

    Nothing of the history is in the widget's traits: a view says hello when it mounts and gets everything there is, then what changes,
    with the curves as binary buffers (see :mod:`detjupyter.protocol.messages`). Before the first hello nothing is sent.

    Thread: messages of the browser come in the main thread or in one of ipykernel's subshells, news of the session in the driver's
    thread. One lock keeps what was sent and what is known to have been sent the same.

    Raises:
        DetJupyterError: the browser side was not built (a fresh checkout).
    """

    _esm: ClassVar[Any] = traitlets.Unicode().tag(sync=True)

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._greeted = False
        self._cursors: dict[tuple[Group, str], Cursor] = {}
        self._log_cursor = 0
        super().__init__(_esm=_read_module())
        _answer_in_subshells(self.comm)
        self.on_msg(self._receive)
        self._unsubscribe = channel.subscribe(self._follow)

    def __repr__(self) -> str:
        """Return the summary of the session: the text of a notebook that was saved while the training ran."""
        return session_text(self._channel.record())

    def close(self) -> None:
        """Take the widget out of every page and stop following the session. Idempotent."""
        unsubscribe: Callable[[], None] | None = getattr(self, "_unsubscribe", None)
        if unsubscribe is not None:
            unsubscribe()
        super().close()

    def _receive(self, _: LiveView, content: Any, __: Sequence[memoryview]) -> None:  # Any: it comes from a browser
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "hello":
            self._send_everything()
        elif kind == "command":
            self._obey(content.get("id"), content.get("command"))

    def _send_everything(self) -> None:
        with self._lock:
            self._greeted = True
            self._cursors = {}
            session = self._channel.record()
            patches = self._channel.patches(self._cursors)
            self._log_cursor, lines = self._channel.log(0)
            self._transmit(Snapshot(PROTOCOL_VERSION, session, _headers(patches), lines), patches)

    def _follow(self) -> None:
        """Send what changed. Never raises: it runs in the thread that trains."""
        try:
            with self._lock:
                if self._greeted:
                    # The record first: what the curves then hold is never older than what it says.
                    session = self._channel.record()
                    patches = self._channel.patches(self._cursors)
                    self._log_cursor, lines = self._channel.log(self._log_cursor)
                    self._transmit(Update(session, _headers(patches), lines), patches)
        except Exception:  # an edge: a view must not end a training
            _log.exception("The live view could not be brought up to date.")

    def _obey(self, request_id: Any, command: Any) -> None:  # Any: they come from a browser
        def answer(future: Future[Any]) -> None:
            error = future.exception() if not future.cancelled() else DetJupyterError("The session was closed before it got to that.")
            self._reply(request_id, error)

        try:
            self._channel.send(parse_command(command)).add_done_callback(answer)
        except DetJupyterError as error:
            self._reply(request_id, error)

    def _reply(self, request_id: Any, error: BaseException | None) -> None:
        try:
            self.send(encode(Reply(request_id, None if error is None else _sentence(error))))
        except Exception:  # an edge: it runs where the command was done, in the thread that trains
            _log.exception("The live view could not be answered.")

    def _transmit(self, message: Snapshot | Update, patches: Sequence[SeriesPatch]) -> None:
        buffers = [column.astype("<f8").tobytes() for patch in patches for column in (patch.batches, patch.values)]
        self.send(encode(message), buffers)


class _Display:
    """One output of a cell: the live view, replaced by the static picture when the training has ended.

    Thread: the listener runs in the driver's thread; the publisher is that of the moment of display, so that a cell which captures its
    output in the meantime does not catch the picture.
    """

    def __init__(self, channel: Channel, shell: Any) -> None:  # Any: an IPython shell; IPython is not imported before it is there
        from IPython.display import display

        self._channel = channel
        self._publisher = shell.display_pub
        self._lock = threading.Lock()
        self._ended = False
        self._unsubscribe: Callable[[], None] | None = None
        self._view = LiveView(channel)
        self._display_id: str = display(self._view, display_id=True).display_id  # type: ignore[no-untyped-call]
        self._unsubscribe = channel.subscribe(self._follow)
        self._follow()  # it may have ended before there was anyone to hear of it

    def _follow(self) -> None:
        unsubscribe = self._unsubscribe
        if unsubscribe is None:
            return
        try:
            if self._channel.record().state in _ENDED and self._is_first_to_end():
                self._publisher.publish(_static_bundle(self._channel), {}, transient={"display_id": self._display_id}, update=True)
                unsubscribe()
                self._view.close()
        except Exception:  # an edge: a picture must not turn a training that ended well into one that failed
            _log.exception("The live view could not be replaced by its picture.")

    def _is_first_to_end(self) -> bool:
        with self._lock:
            first, self._ended = not self._ended, True
        return first


def show_live(channel: Channel) -> None:
    """Show the training of ``channel`` in the output of the cell that runs now.

    Call it after the training was begun. In a notebook that is the live view, which gives way to a picture (PNG, SVG and text) when the
    training ends, from the thread that trains; a training that has ended already shows the picture at once. In a terminal it is a line
    of text.

    Raises:
        DetJupyterError: the browser side was not built (a fresh checkout).
    """
    shell = _notebook_shell()
    if shell is None:
        sys.stdout.write(f"{session_text(channel.record())}\n")
    elif channel.record().state in _ENDED:
        shell.display_pub.publish(_static_bundle(channel), {})
    else:
        _Display(channel, shell)


def _notebook_shell() -> Any:  # Any: an IPython shell, or None
    """Return the running shell if it belongs to a kernel, whose front end can show more than text."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _static_bundle(channel: Channel) -> dict[str, str]:
    """Return the picture as a message carries it: PNG in base64."""
    import base64

    bundle = static_picture(channel.record(), channel.patches({}))
    return {mime: base64.b64encode(data).decode("ascii") if isinstance(data, bytes) else data for mime, data in bundle.items()}


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
    """Let messages of the browser come in a subshell while a cell is busy.

    ipykernel 7.4 sends them to the subshell that last wrote to the comm instead, which is the busy main one for a widget made in a cell.
    It is private API: where it is not there, nothing needs to be undone.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default


def _headers(patches: Sequence[SeriesPatch]) -> tuple[PatchHeader, ...]:
    return tuple(PatchHeader(patch.group, patch.name, patch.start, len(patch.batches)) for patch in patches)


def _sentence(error: BaseException) -> str:
    if isinstance(error, DetJupyterError):
        return f"{error.message}\n{error.hint}" if error.hint else error.message
    return f"{type(error).__name__}: {error}"
