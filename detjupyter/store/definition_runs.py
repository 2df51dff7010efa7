"""The runs of one definition, the best of them, and what ``latest`` and ``best`` mean. Archived runs are not among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from detjupyter.errors import ArgumentError, NoRunsError
from detjupyter.protocol.records import BestRecord
from detjupyter.store.summary import RunSummary

if TYPE_CHECKING:
    from detjupyter.store.base import Store

LATEST, BEST = "latest", "best"


def run_named(store: Store, name: str) -> str:
    """Return the id that ``latest`` (the newest run) or ``best`` (the best of that one's definition) means; any other name is an id.

    Raises:
        NoRunsError: There is no run.
        ArgumentError: No run has a best value.
    """
    if name not in (LATEST, BEST):
        return name
    latest = next(iter(store.run_states(limit=1, include_archived=False)), None)
    if latest is None:
        raise NoRunsError(name, str(store.home))
    if name == LATEST:
        return latest
    run = store.run(latest)
    best = best_of(runs_of_definition(store, run.entrypoint, run.definition_root))
    if best is None:
        raise ArgumentError(f"No run of {run.entrypoint} has a best value yet.", hint="A run has one after its first validation.")
    return best.id


def runs_of_definition(store: Store, entrypoint: str, definition_root: str) -> list[RunSummary]:
    """Return the runs of a trial class in a directory, newest first."""
    runs = store.summaries(entrypoint=entrypoint)
    return [run for run in runs if run.definition_root == definition_root and not run.archived]


def best_of(runs: Iterable[RunSummary]) -> RunSummary | None:
    """Return the run with the best value; None if none has one.

    Values of different metrics cannot be ranked: only the runs with the metric of the first one that has any are compared.
    """
    ranked = [(run, run.best) for run in runs if run.best is not None]
    if not ranked:
        return None
    metric = _metric(ranked[0][1])
    return min((pair for pair in ranked if _metric(pair[1]) == metric), key=lambda pair: _rank(pair[1]))[0]


def _metric(best: BestRecord) -> tuple[str, bool]:
    return best.name, best.smaller_is_better


def _rank(best: BestRecord) -> float:
    return best.value if best.smaller_is_better else -best.value
