"""Shows the curves of the runs that a session continues before its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from detjupyter.errors import DetJupyterError
from detjupyter.protocol.events import Event, Moved
from detjupyter.protocol.records import RunParent
from detjupyter.session.live_state import LiveState
from detjupyter.store.base import Store
from detjupyter.store.lineage import add_curves, ancestors
from detjupyter.store.series import SessionCurves


class AncestorCurves:
    """Reads the curves of the run whose checkpoint was restored, and of the runs that this one continues.

    Args:
        live: The live state that shows them.
        open_store: Returns the history.
        notify: Notifies the views.
        say: Adds a line to the log.

    Thread: any.
    """

    def __init__(self, live: LiveState, open_store: Callable[[], Store], notify: Callable[[], None], say: Callable[[str], None]) -> None:
        self._live = live
        self._open_store = open_store
        self._notify = notify
        self._say = say

    def react(self, event: Event) -> None:
        """Begin to read after a restore. It takes a thread, because nothing in the engine's waits for the disk."""
        parent = self._live.missing_parent() if isinstance(event, Moved) else None
        if parent is not None:
            threading.Thread(target=self._read, args=(parent,), name="detjupyter ancestors", daemon=True).start()

    def _read(self, parent: RunParent) -> None:
        curves = SessionCurves()
        try:
            store = self._open_store()
            add_curves(curves, store, [*ancestors(store, parent.run_id), parent])
        except DetJupyterError as error:
            self._say(f"The curves of the run {parent.run_id} were not read: {error}")
            return
        self._live.inherit(parent, curves)
        self._notify()
