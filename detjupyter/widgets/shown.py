"""The output of a cell that shows a training or a run: live while it trains, then the picture that stays in the notebook."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from detjupyter.errors import StoreError
from detjupyter.picture.output import Bundle, ended_bundle, run_bundle
from detjupyter.picture.summary import session_text
from detjupyter.protocol.states import State
from detjupyter.session.registry import registry
from detjupyter.store import open_store
from detjupyter.widgets.live import LiveView

if TYPE_CHECKING:
    from detjupyter.session.channel import Channel
    from detjupyter.store.history import Run

_ENDED = (State.FINISHED, State.STOPPED, State.FAILED, State.INTERRUPTED)
_log = logging.getLogger(__name__)

_kept: list[LiveView] = []
"""The live views that have stayed open after the end of their training."""


class _Display:
    """One output of a cell: the live view, replaced by the static picture when the training has ended.

    After a reload of the page, JupyterLab no longer knows which output to replace. So a view that mounted more than once stays open, with
    the final state, until the next training is shown: closing it would leave the cell empty.

    Thread: the listener runs in the engine's thread. It keeps the display publisher of the cell that showed the view, so that the picture
    does not go into a cell that captures its output when the training ends.
    """

    def __init__(self, channel: Channel, shell: Any) -> None:  # Any: an IPython shell; this module does not import IPython
        from IPython.display import display

        self._channel = channel
        self._publisher = shell.display_pub
        self._lock = threading.Lock()
        self._ended = False
        self._unsubscribe: Callable[[], None] | None = None
        while _kept:
            _kept.pop().close()
        self._view = LiveView(channel)
        self._display_id: str = display(self._view, display_id=True).display_id  # type: ignore[no-untyped-call]
        self._unsubscribe = channel.subscribe(self._follow)
        self._follow()  # the training may have ended before the listener was added

    def _follow(self) -> None:
        unsubscribe = self._unsubscribe
        if unsubscribe is None:
            return
        try:
            if self._channel.record().state in _ENDED and self._is_first_to_end():
                self._publisher.publish(_ended(self._channel), {}, transient={"display_id": self._display_id}, update=True)
                unsubscribe()
                if self._view.hellos > 1:
                    _kept.append(self._view)
                else:
                    self._view.close()
        except Exception:  # an edge: a failing picture must not make a completed training fail
            _log.exception("The live view could not be replaced by the static picture.")

    def _is_first_to_end(self) -> bool:
        with self._lock:
            first, self._ended = not self._ended, True
        return first


def show_live(channel: Channel) -> None:
    """Show the training of ``channel`` in the output of the current cell.

    Call it after the training has begun. A notebook shows the live view; when the training ends, the engine's thread replaces it with a
    picture (PNG, SVG and text). If the training has already ended, the picture is shown at once. A terminal shows a line of text.

    Raises:
        DetJupyterError: the browser side was not built (a fresh checkout).
    """
    shell = _notebook_shell()
    if shell is None:
        sys.stdout.write(f"{session_text(channel.record())}\n")
    elif channel.record().state in _ENDED:
        shell.display_pub.publish(_ended(channel), {})
    else:
        _Display(channel, shell)


def show_run(run: Run) -> None:
    """Show a run of the history in the output of the current cell: live if a session of this kernel trains it, else as it is now.

    A terminal shows text. Of a run that the history does not have, or that another process keeps locked, only the id is shown.
    """
    trained = next((session for session in registry.all() if session.record().run_id == run.id and session.is_busy), None)
    if trained is not None:
        show_live(trained.channel)
        return
    shell = _notebook_shell()
    try:
        bundle = run_bundle(open_store(), run.record)
    except StoreError:
        bundle = {"text/plain": repr(run)}
    if shell is None:
        sys.stdout.write(f"{bundle['text/plain']}\n")
    else:
        shell.display_pub.publish(bundle, {})


def _notebook_shell() -> Any:  # Any: an IPython shell, or None
    """Return the running shell if it belongs to a kernel: its front end can show more than text."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _ended(channel: Channel) -> Bundle:
    return ended_bundle(channel.record(), channel.patches({}))
