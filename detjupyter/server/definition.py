"""The files of a model definition over REST."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.server.handler import Handler
from detjupyter.server.paths import root_of


class DefinitionHandler(Handler):
    """``definition``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the files and the entrypoints of the definition at ``path``."""
        path = self.get_query_argument("path", "", strip=False)
        self.answer_json(await self.services.scans.scan(root_of(self.settings), path))
