"""The output of a training that has ended, for a notebook whose page has missed the kernel's."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.errors import SessionError
from detjupyter.protocol.wire import to_json
from detjupyter.server.handler import Handler

if TYPE_CHECKING:
    from detjupyter.store.base import Store

_drawing = threading.Lock()
"""matplotlib does not promise to draw in two threads at a time."""


class PictureHandler(Handler):
    """``runs/<run id>/picture``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with the data of the output: the reference, PNG, SVG and text, as the kernel that trained would send them."""
        self.check_run_id(run_id)
        self.answer_json(await self.services.history.read(partial(_picture, run_id=run_id)))


def _picture(store: Store, *, run_id: str) -> str:
    # imports matplotlib and a compiled library, which a server that draws nothing never needs
    from detjupyter.picture.output import run_bundle

    run = store.run(run_id)
    if run.state.is_live:
        raise SessionError(
            "The run has not ended.", state=run.state.value, hint="Its output gets a picture when it ends; until then it is drawn live."
        )
    with _drawing:
        return to_json({"data": run_bundle(store, run, ends=True)})
