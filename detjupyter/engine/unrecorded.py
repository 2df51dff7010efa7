"""Warns of metrics that are not recorded, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detjupyter.engine.once import Once
from detjupyter.framework.metrics import kind_of, unrecorded
from detjupyter.framework.warning import Receive
from detjupyter.protocol.events import Until
from detjupyter.protocol.records import FloatArray


class UnrecordedMetrics:
    """The metrics of one training that are not recorded, because their values are not numbers.

    Args:
        warn: Warns about the trial.
    """

    def __init__(self, warn: Receive) -> None:
        self._warn = warn
        self._once = Once()

    def name_again(self) -> None:
        """Forget which metrics were named: another training begins, or another code continues."""
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
            self._warn(f"These {group} metrics are not numbers, and are not recorded: {values}.", Until.TRAINING)
