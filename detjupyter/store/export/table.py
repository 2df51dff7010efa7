"""The metrics of a run as one table: a row for each batch, a column for each metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detjupyter.protocol.records import FloatArray

if TYPE_CHECKING:
    from detjupyter.store.base import Store


@dataclass(frozen=True, slots=True)
class MetricColumn:
    """One metric.

    Attributes:
        name: Its group and name, such as ``training/loss``.
        values: (M,) float64; NaN is a value.
        rows: (M,) int64, the rows of the table that have a value, ascending.
    """

    name: str
    values: FloatArray
    rows: npt.NDArray[np.int64]

    def spread(self, count: int) -> FloatArray:
        """Return (count,) float64: the values in their rows, NaN in the others."""
        spread = np.full(count, np.nan)
        spread[self.rows] = self.values
        return spread


@dataclass(frozen=True, slots=True)
class MetricTable:
    """The metrics of a run.

    Attributes:
        batches: (N,) int64, ascending: the number of batches trained at each row.
        columns: The metrics, training first.
    """

    batches: npt.NDArray[np.int64]
    columns: tuple[MetricColumn, ...]

    def rows(self, size: int = 10_000) -> Iterator[tuple[int, list[str]]]:
        """Yield each row in blocks of ``size``: its batch and its values as text, empty where there is none."""
        for begin in range(0, len(self.batches), size):
            block = self.batches[begin : begin + size]
            texts = [_texts(column, begin, len(block)) for column in self.columns]
            yield from ((batch, [column[index] for column in texts]) for index, batch in enumerate(block.tolist()))


def read_table(store: Store, run_id: str) -> MetricTable:
    """Read the metrics of a run.

    Raises:
        RunNotFoundError: There is no such run.
    """
    curves = {f"{group.value}/{name}": store.series(run_id, group, name) for group, name in store.series_names(run_id)}
    batches = np.unique(np.concatenate([np.empty(0, np.int64), *(curve[0] for curve in curves.values())]))
    columns = (MetricColumn(name, values, np.searchsorted(batches, own)) for name, (own, values) in curves.items())
    return MetricTable(batches, tuple(sorted(columns, key=lambda column: column.name.startswith("validation/"))))


def _texts(column: MetricColumn, begin: int, count: int) -> list[str]:
    first, last = np.searchsorted(column.rows, [begin, begin + count])
    texts = [""] * count
    for row, value in zip((column.rows[first:last] - begin).tolist(), column.values[first:last].tolist(), strict=True):
        texts[row] = repr(value)
    return texts
