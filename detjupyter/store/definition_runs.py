"""The runs of one definition, and the best of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from detjupyter.protocol.records import BestRecord
from detjupyter.store.summary import RunSummary

if TYPE_CHECKING:
    from detjupyter.store.base import Store


def runs_of_definition(store: Store, entrypoint: str, definition_root: str) -> list[RunSummary]:
    """Return the runs of a trial class in a directory, newest first."""
    return [run for run in store.summaries(entrypoint=entrypoint) if run.definition_root == definition_root]


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
