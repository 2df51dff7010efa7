"""Find the runs that are new, changed or deleted since the last read of the store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detjupyter.protocol.records import RunRecord
from detjupyter.server.brief import brief

if TYPE_CHECKING:
    from detjupyter.store.base import Store

SHOWN_RUNS = 100
THOROUGH_EVERY_S = 2.5
# the time of a new run is taken before its transaction, so a transaction that ends later may have an earlier time
_OVERLAP_S = 5.0


@dataclass(frozen=True, slots=True)
class News:
    """The result of a read: new or changed runs, and ids of deleted runs; ``wrote`` if the store was written at all."""

    changed: tuple[RunRecord, ...]
    gone: tuple[str, ...]
    wrote: bool


class RunChanges:
    """The runs as of the last read, as the list needs them.

    Thread: one at a time.
    """

    def __init__(self) -> None:
        self._known: dict[str, RunRecord] = {}
        self._token: int | None = None
        self._looked_at = self._thorough_at = 0.0

    def newest(self) -> tuple[RunRecord, ...]:
        """Return the runs of the initial list, newest first."""
        runs = sorted(self._known.values(), key=lambda run: run.created_at, reverse=True)
        return tuple(runs[:SHOWN_RUNS])

    def look(self, store: Store, *, thoroughly: bool = False) -> News:
        """Return the changes since the last call.

        Most calls only read the change token. Every 2.5 s, or on request, a call is thorough: it also finds runs whose kernel died (which
        no process recorded) and, among the newest hundred, deleted runs.
        """
        token, is_first = store.change_token(), self._token is None
        wrote, self._token = token != self._token, token
        now = time.monotonic()
        thoroughly = thoroughly or is_first or now - self._thorough_at >= THOROUGH_EVERY_S
        if not wrote and not thoroughly:
            return News((), (), wrote=False)
        # Times of runs can lie in the future: imported ones have those of their files, and clocks are set back.
        newest_at = max((run.updated_at for run in self._known.values()), default=0.0)
        since = min(newest_at, time.time() - (now - self._looked_at)) - _OVERLAP_S
        # the first call lists the newest runs instead of reading the whole history
        seen = [] if is_first else list(map(brief, store.runs_updated_since(since)))
        gone: tuple[str, ...] = ()
        if thoroughly:
            self._thorough_at = now
            newest = list(map(brief, store.runs(limit=SHOWN_RUNS)))
            gone = self._missing_from(newest)
            seen += newest
        for run_id in gone:
            del self._known[run_id]
        changed = {run.id: run for run in seen if run.id not in gone and run != self._known.get(run.id)}
        self._known.update(changed)
        self._looked_at = now
        return News(tuple(changed.values()), gone, wrote)

    def _missing_from(self, newest: list[RunRecord]) -> tuple[str, ...]:
        there = {run.id for run in newest}
        oldest = newest[-1].created_at if len(newest) == SHOWN_RUNS else 0.0
        return tuple(run.id for run in self._known.values() if run.id not in there and run.created_at > oldest)
