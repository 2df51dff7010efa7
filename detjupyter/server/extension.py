"""The entry point of the server extension."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

from detjupyter.protocol.control import REQUEST
from detjupyter.server.control import ControlChannels
from detjupyter.server.disk_watcher import DiskWatcher
from detjupyter.server.history import History
from detjupyter.server.ignore import IgnoreEdits
from detjupyter.server.listing import compare_with_determined, list_definition
from detjupyter.server.routes import routes
from detjupyter.server.run_table import RunTable
from detjupyter.server.run_watcher import Watcher
from detjupyter.server.scans import Scans
from detjupyter.server.services import SETTING, Services

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def load_extension(server_app: ServerApp) -> None:
    """Add the routes to ``server_app``. Nothing is opened or read before the first request."""
    history = History()
    services = Services(
        history=history,
        table=RunTable(),
        scans=Scans(list_definition),
        comparisons=Scans(compare_with_determined),
        edits=IgnoreEdits(),
        channels=ControlChannels(server_app.kernel_manager),
        watcher=Watcher(history, server_app.log),
        disk=DiskWatcher(server_app.log),
    )
    server_app.web_app.settings[SETTING] = services
    server_app.web_app.add_handlers(".*$", routes(server_app.base_url))  # type: ignore[no-untyped-call]
    _exclude_requests_from_activity(server_app.kernel_manager)
    atexit.register(services.close)


def _exclude_requests_from_activity(kernels: Any) -> None:
    """Exclude control messages of detjupyter from Jupyter's culling of idle kernels.

    Without this, the requests of the panel would keep an idle kernel alive forever, and the answer would mark a busy kernel as idle.
    """
    untracked = getattr(kernels, "untracked_message_types", None)
    if untracked is not None and REQUEST not in untracked:
        kernels.untracked_message_types = [*untracked, REQUEST]
