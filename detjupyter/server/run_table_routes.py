"""The table of runs over REST: its rows, and what is done with several runs at once."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.errors import ProtocolError
from detjupyter.protocol.limits import MOST_COLUMNS
from detjupyter.protocol.run_table import RunsSize
from detjupyter.protocol.wire import to_json
from detjupyter.server.handler import Handler

if TYPE_CHECKING:
    from detjupyter.server.run_table import RunTable, Selection
    from detjupyter.store.base import Store

MAX_ROWS = 500
MAX_NAME = 300
MAX_RUNS = 100_000


class _TableHandler(Handler):
    """The base of what is asked about a selection of runs."""

    auth_resource = "contents"

    def selection(self) -> Selection:
        """Return the selection in the query."""
        # imports the reader of conditions, which a server without the table never needs
        from detjupyter.server.run_table import Selection, check_grouping

        return Selection(
            where=self.get_query_argument("where", ""),
            text=self.get_query_argument("text", "")[:MAX_NAME],
            sort=self.get_query_argument("sort", "started")[:MAX_NAME],
            is_descending=self.get_query_argument("descending", "1") == "1",
            group=check_grouping(self.get_query_argument("group", "")),
            toggled=frozenset(self.texts("toggled", MAX_RUNS)),
            include_archived=self.get_query_argument("archived", "0") == "1",
        )

    def texts(self, name: str, most: int) -> list[str]:
        """Return the query argument ``name``, a JSON list of texts.

        Raises:
            ProtocolError: It is none.
        """
        try:
            return _texts(json.loads(self.get_query_argument(name, "[]")), name, most)
        except (ValueError, RecursionError):  # RecursionError: brackets nested too deep
            raise ProtocolError(f"`{name}` must be a JSON list of texts.") from None


class TableHandler(_TableHandler):
    """``table``."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the rows from ``offset`` on; with 304 if they have not changed."""
        offset = self.whole_number("offset", 0, low=0, high=999_999_999)
        limit = self.whole_number("limit", 100, low=1, high=MAX_ROWS)
        columns = self.texts("columns", MOST_COLUMNS)
        read = partial(_page, table=self.services.table, selection=self.selection(), columns=columns, offset=offset, limit=limit)
        version, text = await self.services.history.read(read)
        etag = f'"{version}-{hashlib.sha256(self.request.query.encode()).hexdigest()[:16]}"'
        self.set_header("ETag", etag)
        if self.request.headers.get("If-None-Match") == etag:
            self.set_status(304)
            self.finish()
        else:
            self.answer_json(text)


class TableIdsHandler(_TableHandler):
    """``table/ids``."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the ids of all runs that match, also of those in closed groups."""
        self.answer_json(await self.services.history.read(partial(_ids, table=self.services.table, selection=self.selection())))


class _RunsHandler(Handler):
    """The base of what is done with the runs of ``run_ids``."""

    auth_resource = "contents"

    def chosen(self, body: dict[str, Any]) -> list[str]:
        """Return the ids in the body of the request."""
        return [self.check_run_id(run_id) for run_id in _texts(body.get("run_ids"), "run_ids", MAX_RUNS)]

    def changed(self) -> None:
        """Have browsers see the change at once."""
        self.services.watcher.look_now()
        self.set_status(204)
        self.finish()


class AnnotateHandler(_RunsHandler):
    """``table/annotate``."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Change names, notes, tags, stars and archived state of runs, of all or of none."""
        body = self.json_body()
        await self.services.history.read(partial(_annotate, run_ids=self.chosen(body), values=body))
        self.changed()


class DeleteHandler(_RunsHandler):
    """``table/delete``."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Delete runs with their checkpoints, all or, if one is running or paused, none."""
        await self.services.history.read(partial(_delete, run_ids=self.chosen(self.json_body())))
        self.changed()


class SizeHandler(_RunsHandler):
    """``table/size``."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Answer with the size of the files that would be deleted with runs."""
        self.answer_json(await self.services.history.read(partial(_size, run_ids=self.chosen(self.json_body()))))


# The following functions run in the threads of the history.


def _page(store: Store, *, table: RunTable, selection: Selection, columns: list[str], offset: int, limit: int) -> tuple[int, str]:
    version, page = table.page(store, selection, columns, offset, limit)
    return version, to_json(page)


def _ids(store: Store, *, table: RunTable, selection: Selection) -> str:
    return to_json({"run_ids": table.ids(store, selection)})


def _annotate(store: Store, *, run_ids: list[str], values: dict[str, Any]) -> None:
    from detjupyter.store.annotation import Annotation

    annotation = Annotation(
        name=values.get("name"),
        note=values.get("note"),
        add_tags=values.get("add_tags") or (),
        remove_tags=values.get("remove_tags") or (),
        starred=values.get("starred"),
        archived=values.get("archived"),
    )
    store.annotate_runs(run_ids, annotation)


def _delete(store: Store, *, run_ids: list[str]) -> None:
    from detjupyter.store.deletion import delete_runs

    delete_runs(store, run_ids, can_be_undone=False)  # the browser waits before it asks


def _size(store: Store, *, run_ids: list[str]) -> str:
    from detjupyter.store.deletion import size_of

    runs = store.summaries_of(list(dict.fromkeys(run_ids)))
    live = sum(run.state.is_live for run in runs)
    return to_json(RunsSize(len(runs), live, size_of(store, [run.id for run in runs])))


def _texts(value: Any, name: str, most: int) -> list[str]:
    if not isinstance(value, list) or len(value) > most or not all(isinstance(one, str) for one in value):
        raise ProtocolError(f"`{name}` must be a list of up to {most:,} texts.")
    return value
