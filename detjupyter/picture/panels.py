"""Which curves share a panel: the same rule as ``labextension/chart/names.ts``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from detjupyter.protocol.records import SeriesPatch
from detjupyter.protocol.states import Group

_PREFIX = re.compile(r"^(?:validation|training|train|val)[_/]")


@dataclass(slots=True)
class MetricCurves:
    """One metric with its training curve and its validation curve; either may be missing."""

    name: str
    curves: dict[Group, SeriesPatch] = field(default_factory=dict)


def metric_name(name: str) -> str:
    """Return the name of the metric without the prefix of its group: ``val_loss`` becomes ``loss``."""
    return _PREFIX.sub("", name) or name


def pair(patches: Sequence[SeriesPatch]) -> list[MetricCurves]:
    """Group whole curves by metric, in the order in which they appear.

    Two curves of one group never share a metric: the second keeps its full name (a trial may report both ``loss`` and ``val_loss``
    during training).
    """
    metrics: dict[str, MetricCurves] = {}
    for patch in patches:
        short = metric_name(patch.name)
        taken = short in metrics and patch.group in metrics[short].curves
        name = patch.name if taken else short
        metrics.setdefault(name, MetricCurves(name)).curves[patch.group] = patch
    return list(metrics.values())
