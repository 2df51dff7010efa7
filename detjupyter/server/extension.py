"""What Jupyter Server calls when it loads us."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

from detjupyter.server.control import REQUEST, ControlChannels
from detjupyter.server.disk import DiskWatcher
from detjupyter.server.history import History
from detjupyter.server.ignore import IgnoreEdits
from detjupyter.server.listing import compare_with_determined, list_definition
from detjupyter.server.routes import routes
from detjupyter.server.scans import Scans
from detjupyter.server.services import SETTING, Services
from detjupyter.server.watcher import Watcher

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def load_extension(server_app: ServerApp) -> None:
    """Add our routes to ``server_app``. Nothing is opened or read before the first request."""
    history = History()
    services = Services(
        history=history,
        scans=Scans(list_definition),
        comparisons=Scans(compare_with_determined),
        edits=IgnoreEdits(),
        channels=ControlChannels(server_app.kernel_manager),
        watcher=Watcher(history, server_app.log),
        disk=DiskWatcher(server_app.log),
    )
    server_app.web_app.settings[SETTING] = services
    server_app.web_app.add_handlers(".*$", routes(server_app.base_url))  # type: ignore[no-untyped-call]
    _count_our_questions_as_no_activity(server_app.kernel_manager)
    atexit.register(services.close)


def _count_our_questions_as_no_activity(kernels: Any) -> None:
    """Keep our control messages out of Jupyter's culling of idle kernels.

    Otherwise a sidebar that asks what is loaded would keep an idle kernel alive for ever, and the answer would mark a busy one as idle.
    """
    untracked = getattr(kernels, "untracked_message_types", None)
    if untracked is not None and REQUEST not in untracked:
        kernels.untracked_message_types = [*untracked, REQUEST]
