"""The WebSocket: a browser selects the runs and the definition to watch, and receives their changes.

Server to browser: ``runs`` (first the newest hundred, then new or changed ones), ``runs_removed``, and for each watched run ``series`` and
``log``. A ``watch`` always starts from the beginning, even for a run that was watched before: its first ``series`` message contains every
curve. For the watched definition there are ``definition_watched``, ``definition_changed`` and ``scan_progress``.
"""

from __future__ import annotations

import json
from typing import Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

from detjupyter.errors import ProtocolError
from detjupyter.protocol.messages import Watch, WatchDefinition
from detjupyter.protocol.wire import decode
from detjupyter.server.handler import RUN_ID
from detjupyter.server.run_watcher import Client
from detjupyter.server.services import Services, services_of

MAX_MESSAGE_CHARACTERS = 4_096


class LiveHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """``live``. Jupyter's checks of login and origin apply."""

    auth_resource = "contents"

    _client: Client | None = None

    @property
    def services(self) -> Services:
        """The services that the handlers of this server share."""
        return services_of(self.settings)

    def set_default_headers(self) -> None:
        """Omit the headers of Jupyter's pages, which do not apply to a WebSocket."""

    def get_compression_options(self) -> dict[str, Any] | None:
        """Compress as the server's other WebSockets do."""
        return cast("dict[str, Any] | None", self.settings.get("websocket_compression_options", None))

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the WebSocket for a user who may read."""
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, "read", self.auth_resource)):
            raise HTTPError(403)
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        """Start to send changes to the browser."""
        super().open(*args, **kwargs)
        self._client = Client(self.write_message)
        self.services.watcher.add(self._client)

    def on_message(self, message: str | bytes) -> None:
        """Handle a message of the browser; an invalid message is logged and ignored."""
        if self._client is None:
            return
        try:
            wish = _wish(message)
            if isinstance(wish, Watch):
                self.services.watcher.watch(self._client, wish.run_id, wish.number)
            else:
                self.services.disk.look(self._client, wish.path)
        except ProtocolError as error:
            self.log.warning("detjupyter: ignored a message of a browser: %s", error.message)

    def on_close(self) -> None:
        """Forget the browser."""
        if self._client is not None:
            self.services.watcher.remove(self._client)
            self.services.disk.look(self._client, None)
            self._client = None


def _wish(message: str | bytes) -> Watch | WatchDefinition:
    if len(message) > MAX_MESSAGE_CHARACTERS:
        raise ProtocolError(f"The message has {len(message):,} characters.")
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested too deep
        raise ProtocolError("The message is not JSON.") from error
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind == Watch.kind:
        watch = decode(Watch, data)
        if watch.run_id is not None and not (isinstance(watch.run_id, str) and RUN_ID.fullmatch(watch.run_id)):
            raise ProtocolError(f"Not the id of a run: {watch.run_id!r:.80}.")
        if type(watch.number) is not int:  # a bool is none
            raise ProtocolError(f"Not the number of a watch: {watch.number!r:.80}.")
        return watch
    if kind == WatchDefinition.kind:
        look = decode(WatchDefinition, data)
        # the scan checks whether the path exists: only listed directories are watched
        if look.path is not None and not isinstance(look.path, str):
            raise ProtocolError(f"Not a path: {look.path!r:.80}.")
        return look
    raise ProtocolError(f"The kind of the message is unknown: {message!r:.80}.")
