"""The card of a session in a cell's output, kept up to date while its code is edited."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detjupyter.session.session import Session

LOOK_EVERY_MS = 200
_log = logging.getLogger(__name__)
_newest: weakref.WeakKeyDictionary[Session, _Watch] = weakref.WeakKeyDictionary()


def show_card(session: Session) -> None:
    """Show the card; in a notebook it is updated at once when the code, or `.detignore`, changes on disk.

    Only the newest card of a session is updated. Nothing is polled: the operating system reports changes in the directories of the imported
    modules. If it cannot (its limit of watches is reached), the card is not updated.
    """
    from IPython import get_ipython
    from IPython.display import display

    from detjupyter.widgets.card import card_bundle

    bundle = card_bundle(session.card(), session.record())
    shell: Any = get_ipython()
    if getattr(shell, "kernel", None) is None:  # a terminal, whose lines cannot be updated
        display(bundle, raw=True)
        return
    handle = display(bundle, raw=True, display_id=True)
    older = _newest.pop(session, None)
    if older is not None:
        older.stop()
    _newest[session] = _Watch(session, shell.display_pub, handle.display_id, bundle)


class _Watch:
    """A thread that waits for changes on disk, until the session is closed or no longer exists."""

    def __init__(self, session: Session, publisher: Any, display_id: str, shown: dict[str, str]) -> None:
        self._session = weakref.ref(session)
        self._publisher = publisher
        self._display_id = display_id
        self._shown = shown
        self._over = threading.Event()
        self._finalizer = weakref.finalize(session, self._over.set)
        self._unsubscribe: Callable[[], object] = lambda: None  # the listener may be called before it is set
        self._unsubscribe = session.channel.subscribe(self._follow)
        threading.Thread(target=self._run, name=f"detjupyter card {session.session_id}", daemon=True).start()

    def stop(self) -> None:
        """Stop updating the card; safe to call twice."""
        self._over.set()
        self._unsubscribe()

    def _follow(self) -> None:
        """Stop when the session is closed: IPython may keep it alive as the result of a cell."""
        session = self._session()
        if session is None or session.is_closed:
            self.stop()

    def _run(self) -> None:
        from watchfiles import watch

        try:
            places = self._places()
            while places:
                # The session may import modules from further directories: update the list at every change.
                for _ in watch(*places, stop_event=self._over, step=LOOK_EVERY_MS, recursive=False, raise_interrupt=False):
                    self._update()
                    if self._places() != places:
                        break
                else:
                    return
                places = self._places()
        except Exception:  # an edge: no watches are left, or the directory was deleted; the next `%det_load` shows a new card
            _log.debug("A card is no longer updated.", exc_info=True)

    def _places(self) -> list[str]:
        session = self._session()
        return session.watched_directories() if session is not None and not self._over.is_set() else []

    def _update(self) -> None:
        from detjupyter.widgets.card import card_bundle

        session = self._session()
        if session is None or self._over.is_set():
            return
        bundle = card_bundle(session.card(), session.record())
        if bundle != self._shown:
            self._shown = bundle
            self._publisher.publish(bundle, {}, transient={"display_id": self._display_id}, update=True)
