"""Compares runs: what they were trained with, what came out, and their curves."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from detjupyter.errors import ArgumentError
from detjupyter.next_step import NextStep
from detjupyter.protocol.limits import MOST_COMPARED
from detjupyter.protocol.records import FloatArray, MarkRecord, RunRecord, SeriesPatch
from detjupyter.protocol.states import Group
from detjupyter.store import open_store
from detjupyter.store.axes import Axis, axes_of
from detjupyter.store.base import Store
from detjupyter.store.code_diff import CodeDiff
from detjupyter.store.definition_runs import run_named
from detjupyter.store.history import Run
from detjupyter.store.lineage import whole_series
from detjupyter.store.marks import marks_of
from detjupyter.store.run_values import setting_names, settings_of
from detjupyter.store.summary import summary_of

_DEEPEST = 10
"""How deep lists of runs are nested at most."""


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

    def over_runs(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return batches, mean and standard deviation over the runs, (N,) each, at the batches at which all runs have a value.

        Runs without the metric are left out. With one run, or none, all are empty.
        """
        curves = [curve for curve in self.curves if curve is not None]
        if len(curves) < 2:
            return (np.empty(0),) * 3
        batches = reduce(np.intersect1d, (curve.batches for curve in curves))
        values = np.array([curve.values[np.searchsorted(curve.batches, batches)] for curve in curves])
        with np.errstate(invalid="ignore"):  # values that are not finite have no mean
            return batches, values.mean(axis=0), values.std(axis=0, ddof=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs next to each other. A notebook that has loaded the magics shows it as a table with the curves.

    Attributes:
        records: The runs, in the order given.
        settings: What differs among them, by name: entrypoint, seed, device, hyperparameters, configuration; each with one value per run
            as text, None if a run does not have it. A hyperparameter ``seed`` is ``hparam.seed``, as in conditions.
        metrics: All metrics, in the order in which they appear.
        code: The difference of the code of two runs; None for more runs.
        axes: The hyperparameters in which the runs differ, and the newest metrics, as numbers.
        events: What happened in each run, in the order of batches: validations, checkpoints, reloads, pauses, …
    """

    records: tuple[RunRecord, ...]
    settings: dict[str, tuple[str | None, ...]]
    metrics: tuple[ComparedMetric, ...]
    code: CodeDiff | None
    axes: tuple[Axis, ...] = ()
    events: tuple[tuple[MarkRecord, ...], ...] = ()

    @property
    def is_of_seeds(self) -> bool:
        """Whether the runs are repetitions of one another: nothing but the seed differs, and not the code."""
        return set(self.settings) == {"seed"} and len({record.bundle_hash for record in self.records}) == 1

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
    return compare_in(open_store(), runs)


def compare_in(store: Store, runs: Iterable[Run | str | Iterable[Run]]) -> Comparison:
    """Compare runs of ``store``; see :func:`compare`."""
    named = list(_ids(store, runs, inside_of=()))
    chosen = list(dict.fromkeys(named))
    if len(chosen) == 1 < len(named):
        raise ArgumentError(f"There is nothing to compare: all of these are the run {chosen[0]}.", hint=f"{NextStep.RUNS} lists the runs.")
    if not 2 <= len(chosen) <= MOST_COMPARED:
        raise ArgumentError(
            f"2 to {MOST_COMPARED} different runs can be compared, not {len(chosen)}.", hint=f"{NextStep.RUNS} lists the runs."
        )
    records = tuple(store.run(run_id) for run_id in chosen)
    code = Run(store, chosen[0]).diff(Run(store, chosen[1])) if len(chosen) == 2 else None
    axes = tuple(axes_of([summary_of(record) for record in records]))
    events = tuple(tuple(marks_of(record, store.events(record.id))) for record in records)
    return Comparison(records, _differing(records), tuple(_metrics(store, chosen)), code, axes, events)


def by_importance(metrics: Iterable[ComparedMetric]) -> list[ComparedMetric]:
    """Return the metrics of validations first, then those that most runs have."""
    return sorted(metrics, key=lambda metric: (metric.group is not Group.VALIDATION, metric.curves.count(None)))


def _ids(store: Store, runs: Iterable[Run | str | Iterable[Run]], inside_of: tuple[int, ...]) -> Iterator[str]:
    """Yield the ids of runs and of lists of runs; ``inside_of`` are the objects that contain these."""
    for run in runs:
        if isinstance(run, Run):
            yield run.id
        elif isinstance(run, str):
            yield run_named(store, run)
        elif isinstance(run, Iterable) and not isinstance(run, bytes) and len(inside_of) < _DEEPEST and id(run) not in inside_of:
            yield from _ids(store, run, (*inside_of, id(run)))
        else:
            shown = reprlib.repr(run)
            raise ArgumentError(f"{shown} is neither a run nor the id of one.", hint=f"{NextStep.RUNS} lists the runs.")


def _differing(records: tuple[RunRecord, ...]) -> dict[str, tuple[str | None, ...]]:
    rows = [settings_of(record) for record in records]
    table = {name: tuple(repr(row[name]) if name in row else None for row in rows) for name in setting_names(rows)}
    return {name: values for name, values in table.items() if len(set(values)) > 1}


def _metrics(store: Store, run_ids: Sequence[str]) -> Iterator[ComparedMetric]:
    curves = [_curves(store, run_id) for run_id in run_ids]
    for group, name in dict.fromkeys(metric for one in curves for metric in one):
        yield ComparedMetric(group, name, tuple(one.get((group, name)) for one in curves))


def _curves(store: Store, run_id: str) -> dict[tuple[Group, str], SeriesPatch]:
    curves = whole_series(store, run_id).items()
    return {(group, name): SeriesPatch(group, name, 0, batches.astype(np.float64), values) for (group, name), (batches, values) in curves}
