"""Names metrics that are not recorded, each once, in the run's log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detjupyter.engine.once import Once
from detjupyter.framework.metrics import kind_of, unrecorded
from detjupyter.protocol.records import FloatArray


class UnrecordedMetrics:
    """The metrics of one run that are not recorded, because their values are not numbers.

    Args:
        say: Adds a line to the run's log.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._once = Once()

    def of_batches(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, FloatArray]) -> None:
        """Name the training metrics of N batches for which there is no column."""
        names = dict.fromkeys(name for of_row in dict.fromkeys(map(tuple, rows)) for name in of_row)  # the rows nearly always have the same
        if len(names) == len(columns):
            return
        values = {name: next((row[name] for row in rows if row.get(name) is not None), None) for name in names if name not in columns}
        self._name("training", {name: kind_of(value) for name, value in values.items() if value is not None})

    def of_report(self, group: str, metrics: Mapping[str, Any]) -> None:
        """Name the metrics of a validation, or of a report of a script, that are not recorded."""
        self._name(group, unrecorded(metrics))

    def _name(self, group: str, kinds: Mapping[str, str]) -> None:
        new = self._once.new(kinds)
        if new:
            values = ", ".join(f"{name!r} ({kinds[name]})" for name in new)
            self._say(f"These {group} metrics are not numbers, and are not recorded: {values}.")
