"""The comparison of several runs over REST."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from detjupyter.protocol.records import FloatArray, MarkRecord, SeriesPatch
from detjupyter.protocol.run_table import ComparedAxis, ComparedCurves, ComparedEvents, ComparedSetting, ComparisonRecord
from detjupyter.protocol.wire import to_json
from detjupyter.server.handler import Handler
from detjupyter.store.marks import most_important
from detjupyter.text import shortened

if TYPE_CHECKING:
    from detjupyter.store.axes import Axis
    from detjupyter.store.base import Store
    from detjupyter.store.comparison import ComparedMetric

POINTS = 400
MOST_METRICS, MOST_SETTINGS, MOST_EVENTS = 60, 300, 500
LONGEST_VALUE, LONGEST_CODE = 300, 200_000


class ComparisonHandler(Handler):
    """``comparison``."""

    auth_resource = "contents"

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the comparison of the runs ``runs``, 2 to 20 ids with commas between them."""
        run_ids = [self.check_run_id(run_id) for run_id in self.get_query_argument("runs", "").split(",")]
        self.answer_json(await self.services.history.read(partial(_compare, run_ids=run_ids)))


def _compare(store: Store, *, run_ids: list[str]) -> str:
    # import compiled libraries, which a server that compares nothing never needs
    from detjupyter.server.run_table import row_of
    from detjupyter.store.comparison import by_importance, compare_in

    found = compare_in(store, run_ids)
    settings = [
        ComparedSetting(shortened(name, LONGEST_VALUE), tuple(None if text is None else shortened(text, LONGEST_VALUE) for text in values))
        for name, values in found.settings.items()
    ]
    metrics = by_importance(found.metrics)
    return to_json(
        ComparisonRecord(
            runs=tuple(row_of(run, ()) for run in store.summaries_of([record.id for record in found.records])),
            settings=tuple(settings[:MOST_SETTINGS]),
            metrics=tuple(map(_curves, metrics[:MOST_METRICS])),
            axes=tuple(map(_axis, found.axes)),
            events=tuple(map(_events, found.events)),
            more_settings=max(0, len(settings) - MOST_SETTINGS),
            more_metrics=max(0, len(metrics) - MOST_METRICS),
            code="" if found.code is None else shortened(found.code.files, LONGEST_CODE),
        )
    )


def _axis(axis: Axis) -> ComparedAxis:
    values = (shortened(value, LONGEST_VALUE) if isinstance(value, str) else value for value in axis.values)
    return ComparedAxis(shortened(axis.name, LONGEST_VALUE), axis.kind, tuple(values))


def _events(marks: Sequence[MarkRecord]) -> ComparedEvents:
    kept = most_important(marks, MOST_EVENTS)
    return ComparedEvents(tuple(kept), len(marks) - len(kept))


def _curves(metric: ComparedMetric) -> ComparedCurves:
    from detjupyter.store.series import decimate

    ranges = [(None, None) if curve is None else _range(curve.values) for curve in metric.curves]
    curves = [
        None if curve is None else SeriesPatch(metric.group, metric.name, 0, *decimate(curve.batches, curve.values, POINTS))
        for curve in metric.curves
    ]
    smallest, largest = zip(*ranges, strict=True)
    return ComparedCurves(metric.group, metric.name, tuple(curves), metric.newest(), smallest, largest)


def _range(values: FloatArray) -> tuple[float | None, float | None]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
