"""The files of a model definition, and edits of its `.detignore`, over REST."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.errors import DefinitionTooLargeError, ProtocolError
from detjupyter.protocol.files import ScanningRecord
from detjupyter.server.answers import RefusedError
from detjupyter.server.handler import Handler
from detjupyter.server.ignore import EditRequest
from detjupyter.server.paths import root_of
from detjupyter.server.scans import Scans

T = TypeVar("T")


class _ScanHandler(Handler):
    auth_resource = "contents"

    _waiting: asyncio.Task[Any] | None = None  # Any: the result of the scan

    def on_connection_close(self) -> None:
        """Stop waiting for the scan: the browser has closed the connection."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def scan(self, scans: Scans[T]) -> T | None:
        """Return the result of the scan; None if the request is already answered because the scan takes long, or was canceled."""
        path = self.get_query_argument("path", "", strip=False)
        any_size = self.whole_number("any_size", 0, low=0, high=1) == 1
        scan = scans.scan(root_of(self.settings), path, any_size=any_size, notify=self.services.disk.notify_progress)
        self._waiting = asyncio.ensure_future(scan)
        try:
            found: T | ScanningRecord = await self._waiting
        except asyncio.CancelledError:
            if not self._waiting.cancelled():
                raise  # the server is ending
            return None
        except DefinitionTooLargeError as error:
            raise RefusedError(
                413,
                f"This directory holds more than {error.most_paths:,} entries.",
                hint="It is possibly not a model definition. Scan it anyway, or exclude data with a `.detignore`.",
            ) from None
        if isinstance(found, ScanningRecord):
            self.answer(found, status=202)
            return None
        return found


class DefinitionHandler(_ScanHandler):
    """``definition``."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the files and the entrypoints of the definition at ``path``, and remember the directories to watch for edits."""
        listing = await self.scan(self.services.scans)
        if listing is not None:
            self.services.disk.scanned(self.get_query_argument("path", "", strip=False), listing.ground)
            self.answer_json(listing.text)


class DeterminedHandler(_ScanHandler):
    """``definition/determined``."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the paths about which Determined's uploader would decide differently."""
        text = await self.scan(self.services.comparisons)
        if text is not None:
            self.answer_json(text)


class IgnoreHandler(Handler):
    """``definition/ignore``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def post(self) -> None:
        """Answer with the edit that lets a path ship or leaves it out, and its effect; with ``save`` write it, too."""
        body = self.json_body()
        request = EditRequest(
            path=_text(body, "path"),
            file=_text(body, "file"),
            include=_flag(body, "include"),
            expected_hash=_text(body, "expected_hash") if _flag(body, "save") else None,
        )
        self.answer(await asyncio.to_thread(self.services.edits.edit, root_of(self.settings), request))


class UndoHandler(Handler):
    """``definition/ignore/undo``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def post(self) -> None:
        """Restore a `.detignore` to its content before an edit."""
        await asyncio.to_thread(self.services.edits.undo, _text(self.json_body(), "undo"))
        self.set_status(204)
        self.finish()


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"`{name}` must be text, not {value!r:.80}.")
    return value


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise ProtocolError(f"`{name}` must be true or false, not {value!r:.80}.")
    return value
