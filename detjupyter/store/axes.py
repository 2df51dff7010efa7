"""The values of many runs as axes: hyperparameters in which they differ against what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from detjupyter.protocol.states import Group
from detjupyter.store.run_values import MISSING, getter, hyperparameters_of
from detjupyter.store.summary import RunSummary

_MOST_METRICS = 60

Kind = Literal["hyperparameter", "validation", "training", "best"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One value of each run.

    Attributes:
        name: The name of the hyperparameter or of the metric.
        kind: What it is; ``best`` is the best value so far of the metric that ranks the runs.
        values: One for each run: a number, any other value as text, None in a run without it.
    """

    name: str
    kind: Kind
    values: tuple[float | str | None, ...]


def axes_of(runs: Sequence[RunSummary]) -> list[Axis]:
    """Return the hyperparameters in which runs differ, then the best value, the newest validation metrics and the training metrics."""
    hyperparameters = [hyperparameters_of(run) for run in runs]
    axes = []
    for name in dict.fromkeys(name for values in hyperparameters for name in values):
        found = tuple(_plain(values.get(name, MISSING)) for values in hyperparameters)
        if len(set(found)) > 1:
            axes.append(Axis(name, "hyperparameter", found))
    ranked = {run.best.name for run in runs if run.best is not None}
    if len(ranked) == 1:
        axes.append(Axis(next(iter(ranked)), "best", tuple(None if run.best is None else run.best.value for run in runs)))
    kinds: tuple[Kind, Kind] = ("validation", "training")
    for kind in kinds:
        names = dict.fromkeys(name for run in runs for name in run.latest.get(Group(kind).value, {}))
        for name in list(names)[:_MOST_METRICS]:
            value = getter(f"{kind}.{name}")
            axes.append(Axis(name, kind, tuple(_plain(value(run)) for run in runs)))
    return axes


def _plain(value: Any) -> float | str | None:  # Any: any value that YAML can hold
    if value is MISSING:
        return None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
