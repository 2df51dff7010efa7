"""The table of runs as a browser shows it: the rows in view, of all that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from detjupyter.protocol.records import BestRecord, MarkRecord, SeriesPatch
from detjupyter.protocol.states import Group, State


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a row.

    ``note`` is its beginning, ``seconds`` how long it trained, and ``values`` has one value for each column that was asked for.
    """

    kind: ClassVar[str] = "run"

    id: str
    state: State
    entrypoint: str
    definition: str
    definition_root: str
    name: str
    note: str
    tags: tuple[str, ...]
    starred: bool
    archived: bool
    created_at: float
    seconds: float
    batches_trained: int
    best: BestRecord | None
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RunGroup:
    """The head of a group of rows, which are only there if ``is_open``.

    ``by`` is ``definition``, ``notebook``, ``code`` or, for the failed runs without a batch, ``failed``; ``value`` is what all have.
    """

    kind: ClassVar[str] = "group"

    by: str
    value: str
    count: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class RunPage:
    """Rows of a table.

    ``runs`` is the number of all runs, archived ones included, ``matching`` that of those that match, ``rows`` the number of rows with
    heads of groups; ``items`` are the rows from ``offset`` on. ``hyperparameters`` and ``metrics`` are the names of columns that
    the newest thousand matching runs have, up to 300 each, and ``differing`` those hyperparameters in which these runs differ.
    """

    runs: int
    archived: int
    matching: int
    rows: int
    offset: int
    items: tuple[RunRow | RunGroup, ...]
    hyperparameters: tuple[str, ...]
    differing: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunsSize:
    """The size of the files of runs that would be deleted, and how many of them cannot be, because they are running or paused."""

    runs: int
    live: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ComparedSetting:
    """A setting in which runs differ: its value in each, as text, and None in a run without it."""

    name: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class ComparedCurves:
    """A metric of several runs: for each its reduced curve, last value, smallest and largest value; None in a run without it."""

    group: Group
    name: str
    curves: tuple[SeriesPatch | None, ...]
    newest: tuple[float | None, ...]
    smallest: tuple[float | None, ...]
    largest: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ComparedAxis:
    """A hyperparameter in which runs differ, or a metric: in each run a number, a text (of a metric: NaN or an infinity), or None.

    ``kind`` is ``hyperparameter``, ``best`` (the best value of the metric that ranks the runs), ``validation`` or ``training``.
    """

    name: str
    kind: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ComparedEvents:
    """What happened in one of the runs, in the order of batches; ``more`` counts what is left out."""

    marks: tuple[MarkRecord, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """Runs next to each other: the settings in which they differ, their metrics, and of two runs the difference of the code.

    ``axes`` has the values of hyperparameters and metrics as numbers, ``events`` has one entry for each run. ``more_settings`` and
    ``more_metrics`` count those that are left out.
    """

    runs: tuple[RunRow, ...]
    settings: tuple[ComparedSetting, ...]
    metrics: tuple[ComparedCurves, ...]
    axes: tuple[ComparedAxis, ...]
    events: tuple[ComparedEvents, ...]
    more_settings: int
    more_metrics: int
    code: str
