"""Compares runs: what they were trained with, what came out, and their curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detjupyter.errors import ArgumentError, RunNotFoundError
from detjupyter.next_step import NextStep
from detjupyter.protocol.records import BestRecord, RunRecord, SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store import open_store
from detjupyter.store.base import Store
from detjupyter.store.code_diff import CodeDiff
from detjupyter.store.history import Run, RunList
from detjupyter.store.run_filter import flat

MOST_RUNS = 20
_LATEST, _BEST = "latest", "best"


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """A metric of at least one of the runs.

    Attributes:
        group: Training or validation.
        name: Its name.
        curves: One for each run, None for a run that lacks the metric.
    """

    group: Group
    name: str
    curves: tuple[SeriesPatch | None, ...]

    def newest(self) -> tuple[float | None, ...]:
        """Return the last value of each run."""
        return tuple(float(curve.values[-1]) if curve is not None and len(curve.values) else None for curve in self.curves)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs next to each other. A notebook that has loaded the magics shows it as a table with the curves.

    Attributes:
        records: The runs, in the order given.
        settings: What differs among them, by name: entrypoint, seed, device, hyperparameters, configuration; each with one value per run
            as text, None if a run does not have it. A hyperparameter ``seed`` is ``hparam.seed``, as in conditions.
        metrics: All metrics, in the order in which they appear.
        code: The difference of the code of two runs; None for more runs.
    """

    records: tuple[RunRecord, ...]
    settings: dict[str, tuple[str | None, ...]]
    metrics: tuple[ComparedMetric, ...]
    code: CodeDiff | None

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.records)} runs: {len(self.settings)} settings differ, {len(self.metrics)} metrics>"


def compare(*runs: Run | str | Iterable[Run]) -> Comparison:
    """Compare 2 to 20 runs.

    Args:
        runs: Runs, lists of runs, ids, ``"latest"`` (the newest run) or ``"best"`` (the best of all runs of the latest one's definition).

    Raises:
        ArgumentError: Too few or too many runs, something else than a run, or there is no best one.
        RunNotFoundError: There is no run of an id.
    """
    store = open_store()
    named = list(_ids(store, runs))
    chosen = list(dict.fromkeys(named))
    if len(chosen) == 1 < len(named):
        raise ArgumentError(f"There is nothing to compare: all of these are the run {chosen[0]}.", hint=f"{NextStep.RUNS} lists the runs.")
    if not 2 <= len(chosen) <= MOST_RUNS:
        raise ArgumentError(f"2 to {MOST_RUNS} different runs can be compared, not {len(chosen)}.", hint=f"{NextStep.RUNS} lists the runs.")
    records = tuple(store.run(run_id) for run_id in chosen)
    code = Run(store, chosen[0]).diff(Run(store, chosen[1])) if len(chosen) == 2 else None
    return Comparison(records, _differing(records), tuple(_metrics(store, chosen)), code)


def _ids(store: Store, runs: Iterable[Run | str | Iterable[Run]]) -> Iterator[str]:
    for run in runs:
        if isinstance(run, Run):
            yield run.id
        elif isinstance(run, str):
            yield _named(store, run) if run in (_LATEST, _BEST) else run
        elif isinstance(run, Iterable) and not isinstance(run, bytes):
            yield from _ids(store, run)
        else:
            raise ArgumentError(f"{run!r} is neither a run nor the id of one.", hint=f"{NextStep.RUNS} lists the runs.")


def find_run(name: str) -> Run:
    """Return a run by its id, ``"latest"`` (the newest run) or ``"best"`` (the best of all runs of the latest one's definition).

    Raises:
        ArgumentError: There is no best one.
        RunNotFoundError: There is no such run.
    """
    store = open_store()
    return Run(store, store.run(_named(store, name) if name in (_LATEST, _BEST) else name).id)


def _named(store: Store, name: str) -> str:
    latest = next(iter(store.runs(limit=1)), None)
    if latest is None:
        raise RunNotFoundError(name)
    if name == _LATEST:
        return latest.id
    same = RunList(Run(store, run_id) for run_id in store.run_states(limit=None, entrypoint=latest.entrypoint)).records()
    ranked = [run for run in same if run.definition_root == latest.definition_root and run.best is not None]
    if not ranked:
        raise ArgumentError(f"No run of {latest.entrypoint} has a best value yet.", hint="A run has one after its first validation.")
    newest = ranked[0].best  # values of different metrics cannot be ranked: that of the newest run counts
    return min((run for run in ranked if _metric(run.best) == _metric(newest)), key=_rank).id


def _metric(best: BestRecord | None) -> tuple[str, bool] | None:
    return None if best is None else (best.name, best.smaller_is_better)


def _rank(run: RunRecord) -> float:
    assert run.best is not None
    return run.best.value if run.best.smaller_is_better else -run.best.value


def _differing(records: tuple[RunRecord, ...]) -> dict[str, tuple[str | None, ...]]:
    rows = [dict(_settings(record)) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: tuple(repr(row[name]) if name in row else None for row in rows) for name in names}
    return {name: values for name, values in table.items() if len(set(values)) > 1}


def _settings(record: RunRecord) -> Iterator[tuple[str, Any]]:
    facts = {name: getattr(record, name) for name in ("entrypoint", "seed", "device")}
    yield from facts.items()
    yield from ((f"hparam.{name}" if name in facts else name, value) for name, value in flat(record.hyperparameters))
    for name, value in flat(record.config):
        if not name.startswith("hyperparameters."):  # the values with which the trial was built are above
            yield f"config.{name}", value


def _metrics(store: Store, run_ids: Sequence[str]) -> Iterator[ComparedMetric]:
    names = dict.fromkeys(metric for run_id in run_ids for metric in store.series_names(run_id))
    for group, name in names:
        curves = []
        for run_id in run_ids:
            batches, values = store.series(run_id, group, name)
            curves.append(SeriesPatch(group, name, 0, batches.astype(np.float64), values) if len(values) else None)
        yield ComparedMetric(group, name, tuple(curves))
