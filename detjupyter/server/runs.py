"""The history over REST: the list of runs, one run, its curves, its log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.protocol.records import FloatArray, SeriesPatch
from detjupyter.protocol.wire import to_json
from detjupyter.server.brief import brief
from detjupyter.server.handler import Handler
from detjupyter.server.story import story_of
from detjupyter.store.deletion import delete_runs
from detjupyter.store.lineage import parent_of

if TYPE_CHECKING:
    from detjupyter.server.curves import CurveCache
    from detjupyter.store.base import BatchArray, Store

MAX_RUNS = 500
MAX_POINTS = 20_000
MAX_BATCH = 999_999_999  # of a range: the most that a query argument can say
LOG_LINES = 2_000


class RunsHandler(Handler):
    """``runs``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with ``limit`` runs (100 by default), newest first, starting after the run ``before``."""
        limit = self.whole_number("limit", 100, low=1, high=MAX_RUNS)
        before = self.get_query_argument("before", None)
        if before is not None:
            self.check_run_id(before)
        self.answer_json(await self.services.history.read(partial(_runs, limit=limit, before=before)))


class RunHandler(Handler):
    """``runs/<run id>``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with the run."""
        self.check_run_id(run_id)
        self.answer_json(await self.services.history.read(partial(_run, run_id=run_id)))

    @authenticated
    @authorized
    async def delete(self, run_id: str) -> None:
        """Delete the run with its curves, its log and its checkpoints, unless it is running or paused."""
        self.check_run_id(run_id)
        await self.services.history.read(partial(_delete, run_id=run_id))
        self.services.watcher.look_now()
        self.set_status(204)
        self.finish()


class SeriesHandler(Handler):
    """``runs/<run id>/series``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with every curve, decimated to about ``points`` points (1,000 by default), with those of the runs that it continues.

        With ``from`` and ``to`` only the points of that range of batches are answered, and the nearest one on either side, so that lines
        continue beyond the range.
        """
        self.check_run_id(run_id)
        points = self.whole_number("points", 1_000, low=10, high=MAX_POINTS)
        first = self.whole_number("from", 0, low=0, high=MAX_BATCH)
        last = self.whole_number("to", MAX_BATCH, low=first, high=MAX_BATCH)
        read = partial(_series, cache=self.services.curves, run_id=run_id, points=points, first=first, last=last)
        answer = await self.services.history.read(read)
        self.answer_json(answer)


class StoryHandler(Handler):
    """``runs/<run id>/story``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with what happened in the run, and with the times of its batches."""
        self.check_run_id(run_id)
        self.answer_json(await self.services.history.read(partial(_story, run_id=run_id)))


class CheckpointsHandler(Handler):
    """``runs/<run id>/checkpoints``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with the checkpoints of the run, newest first."""
        self.check_run_id(run_id)
        self.answer_json(await self.services.history.read(partial(_checkpoints, run_id=run_id)))


class ParentHandler(Handler):
    """``runs/<run id>/parent``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with the run that the run continues, or null."""
        self.check_run_id(run_id)
        self.answer_json(await self.services.history.read(partial(_parent, run_id=run_id)))


class LogHandler(Handler):
    """``runs/<run id>/log``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self, run_id: str) -> None:
        """Answer with the last 2,000 lines of the log."""
        self.check_run_id(run_id)
        self.answer_json(await self.services.history.read(partial(_log, run_id=run_id)))


# The following functions run in the threads of the history, including the JSON encoding, which takes a while for long curves.


def _runs(store: Store, *, limit: int, before: str | None) -> str:
    return to_json({"runs": [brief(run) for run in store.runs(limit=limit, before=before, include_archived=False)]})


def _run(store: Store, *, run_id: str) -> str:
    return to_json(store.run(run_id))


def _checkpoints(store: Store, *, run_id: str) -> str:
    return to_json({"checkpoints": store.checkpoints(run_id)[::-1]})


def _delete(store: Store, *, run_id: str) -> None:
    delete_runs(store, [run_id], can_be_undone=False)


def _parent(store: Store, *, run_id: str) -> str:
    return to_json({"parent": parent_of(run_id, store.events(run_id))})


def _story(store: Store, *, run_id: str) -> str:
    return to_json(story_of(store, run_id))


def _series(store: Store, *, cache: CurveCache, run_id: str, points: int, first: int, last: int) -> str:
    # imports a compiled library, which a server that shows no curve never needs
    from detjupyter.store.series import decimate

    patches = []
    for (group, name), curve in cache.read(store, run_id).items():
        batches, values = _between(first, last, *curve)
        kept_batches, kept_values = decimate(batches.astype(np.float64), values, points)
        patches.append(SeriesPatch(group=group, name=name, start=0, batches=kept_batches, values=kept_values))
    return to_json({"patches": patches})


def _between(first: int, last: int, batches: BatchArray, values: FloatArray) -> tuple[BatchArray, FloatArray]:
    begin, end = np.searchsorted(batches, [first, last + 1])
    kept = slice(max(0, int(begin) - 1), int(end) + 1)
    return batches[kept], values[kept]


def _log(store: Store, *, run_id: str) -> str:
    _, lines = store.log(run_id, last=LOG_LINES)
    return to_json({"lines": lines})
