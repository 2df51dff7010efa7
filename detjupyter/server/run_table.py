"""The table of all runs: kept in memory while it is used, sorted, filtered and grouped, so that a page takes milliseconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from detjupyter.errors import ArgumentError
from detjupyter.protocol.run_table import RunGroup, RunPage, RunRow
from detjupyter.protocol.states import State
from detjupyter.store.run_filter import RunFilter
from detjupyter.store.run_values import MISSING, getter, hyperparameters_of
from detjupyter.store.summary import RunSummary
from detjupyter.text import shortened

if TYPE_CHECKING:
    from detjupyter.store.base import Store

GROUPINGS = ("", "definition", "notebook", "code")
FAILED = "failed"
KERNEL = "kernel:"
"""What the value of a group of runs begins with whose notebook is unknown; their kernel has one anyway."""

_LOOK_EVERY_S = 1.0
"""How often the owners of live runs are checked at most."""
_OVERLAP_S = 5.0  # the time of a run is taken before the end of its transaction
_FOLDED_FROM = 2
"""A single failed run keeps its place."""
_COMPARED = 1000
_MOST_COLUMNS = 300
_LONGEST_NOTE, _LONGEST_VALUE = 300, 200
_KEPT_RESULTS = 8

Values = Callable[[RunSummary], Any]
_SORTS: dict[str, Values] = {
    "started": lambda run: run.created_at,
    "duration": lambda run: run.seconds,
    "name": lambda run: run.name or MISSING,
    "note": lambda run: run.note or MISSING,
    "tags": lambda run: ", ".join(run.tags) or MISSING,
}
_GROUPED_BY: dict[str, Callable[[RunSummary], str]] = {
    "definition": lambda run: f"{run.definition_root}\n{run.entrypoint}",
    "notebook": lambda run: run.notebook or (f"{KERNEL}{run.kernel_id}" if run.kernel_id else ""),
    "code": lambda run: run.bundle_hash,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs a table has, and in which order.

    Attributes:
        where: A condition; empty for all runs.
        text: Words that a run must all have in its id, state, name, tags, note, entrypoint or definition.
        sort: The column to sort by, a name as in conditions, or ``started`` or ``duration``.
        is_descending: Whether the largest value comes first. Runs without a value are last anyway.
        group: One of ``GROUPINGS``.
        toggled: The groups that are not open (for ``failed``: closed) as they are at first, by ``by`` and ``value``.
        include_archived: Whether archived runs are among them.
    """

    where: str = ""
    text: str = ""
    sort: str = "started"
    is_descending: bool = True
    group: str = ""
    toggled: frozenset[str] = frozenset()
    include_archived: bool = False


@dataclass(frozen=True, slots=True)
class _Result:
    """The rows of a selection."""

    matching: int
    items: list[RunSummary | RunGroup]
    hyperparameters: tuple[str, ...]
    differing: tuple[str, ...]
    metrics: tuple[str, ...]


class RunTable:
    """All runs as summaries, brought up to date whenever the history has changed, and the last selections.

    Thread: any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, RunSummary] = {}
        self._texts: dict[str, str] = {}
        self._token: int | None = None
        self._looked_at = 0.0
        self._results: dict[Selection, _Result] = {}
        self._version = time.time_ns()

    def ids(self, store: Store, selection: Selection) -> list[str]:
        """Return the ids of all runs of a selection, newest first.

        Raises:
            ArgumentError: As for :meth:`page`.
            StoreError: The history cannot be read.
        """
        with self._lock:
            self._look(store)
            found = self._chosen(selection)
        return [run.id for run in sorted(found, key=lambda run: run.created_at, reverse=True)]

    def page(self, store: Store, selection: Selection, columns: Sequence[str], offset: int, limit: int) -> tuple[int, RunPage]:
        """Return a number that changes with the runs, and the rows from ``offset`` on.

        Raises:
            ArgumentError: The condition cannot be read, or has a name that no run has.
            StoreError: The history cannot be read.
        """
        with self._lock:
            self._look(store)
            result = self._results.get(selection)
            if result is None:
                result = self._select(selection)
                while len(self._results) >= _KEPT_RESULTS:
                    del self._results[next(iter(self._results))]
                self._results[selection] = result
            version, runs = self._version, self._runs.values()
            archived = sum(run.archived for run in runs)
        values = [_column(name) for name in columns]
        items = tuple(item if isinstance(item, RunGroup) else row_of(item, values) for item in result.items[offset : offset + limit])
        page = RunPage(
            len(runs), archived, result.matching, len(result.items), offset, items, result.hyperparameters, result.differing, result.metrics
        )
        return version, page

    def _look(self, store: Store) -> None:
        now = time.monotonic()
        token, is_first = store.change_token(), self._token is None
        if token == self._token:
            # The death of a kernel changes nothing in the history.
            is_due = now - self._looked_at >= _LOOK_EVERY_S and any(run.state.is_live for run in self._runs.values())
            if not is_due:
                return
        if is_first:
            changed, gone = store.summaries(), set[str]()
        else:
            states = store.run_states(limit=None)  # also finds the runs whose kernel has died
            # Times of runs can lie in the future: imported ones have those of their files, and clocks are set back.
            newest = max((run.updated_at for run in self._runs.values()), default=0.0)
            since = min(newest, time.time() - (now - self._looked_at)) - _OVERLAP_S
            changed = [run for run in store.summaries(updated_since=since) if run != self._runs.get(run.id)]
            gone = self._runs.keys() - states.keys()
            new = states.keys() - self._runs.keys() - {run.id for run in changed}
            changed += store.summaries_of(list(new))
        if changed or gone:
            self._change(changed, gone)
        self._token, self._looked_at = token, now

    def _change(self, changed: Iterable[RunSummary], gone: Iterable[str]) -> None:
        for run_id in gone:
            del self._runs[run_id]
            self._texts.pop(run_id, None)
        for run in changed:
            self._runs[run.id] = run
            self._texts.pop(run.id, None)
        self._results.clear()
        self._version += 1

    def _select(self, selection: Selection) -> _Result:
        found = self._chosen(selection)
        items = _arranged(_sorted(found, selection), selection)
        return _Result(len(found), items, *_names(found))

    def _chosen(self, selection: Selection) -> list[RunSummary]:
        found = [run for run in self._runs.values() if selection.include_archived or not run.archived]
        if selection.where:
            found = self._matching(found, RunFilter(selection.where))
        words = selection.text.lower().split()
        if words:
            found = [run for run in found if all(word in self._text(run) for word in words)]
        return found

    def _matching(self, runs: list[RunSummary], condition: RunFilter) -> list[RunSummary]:
        unknown = list(condition.names)
        for run in self._runs.values():
            if not unknown:
                break
            unknown = condition.unknown_to(run, unknown)
        if unknown:
            condition.require_known(unknown, self._runs.values())
        return [run for run in runs if condition.matches(run)]

    def _text(self, run: RunSummary) -> str:
        text = self._texts.get(run.id)
        if text is None:
            parts = (run.id, run.state.value, run.name, *run.tags, run.note, run.entrypoint, run.definition)
            text = self._texts[run.id] = "\n".join(parts).lower()
        return text


def _sorted(runs: list[RunSummary], selection: Selection) -> list[RunSummary]:
    """Return the runs in order: numbers, then texts, then those without a value; equal ones with the newest first."""
    value = _column(selection.sort)
    newest_first = sorted(runs, key=lambda run: run.created_at, reverse=True)
    numbers: list[tuple[float, RunSummary]] = []
    texts: list[tuple[str, RunSummary]] = []
    rest = []
    for run in newest_first:
        found = value(run)
        if isinstance(found, (int, float)) and found == found:  # not NaN
            numbers.append((found, run))
        elif found is MISSING or found is None or isinstance(found, float):
            rest.append(run)
        else:
            texts.append((str(found).lower(), run))
    for pairs in (numbers, texts):
        pairs.sort(key=lambda pair: pair[0], reverse=selection.is_descending)
    ordered = [run for _, run in numbers], [run for _, run in texts]
    return [*(ordered[1] + ordered[0] if selection.is_descending else ordered[0] + ordered[1]), *rest]


def _arranged(runs: list[RunSummary], selection: Selection) -> list[RunSummary | RunGroup]:
    """Return the rows with heads of groups; the failed runs without a batch are a closed group at the end."""
    failed = [run for run in runs if _has_failed_at_once(run)]
    if len(failed) < _FOLDED_FROM:
        failed = []
    usual = [run for run in runs if not _has_failed_at_once(run)] if failed else runs
    items: list[RunSummary | RunGroup] = []
    if selection.group:
        key = _GROUPED_BY[selection.group]
        groups: dict[str, list[RunSummary]] = {}
        for run in usual:
            groups.setdefault(key(run), []).append(run)
        for value, members in groups.items():
            is_open = f"{selection.group}:{value}" not in selection.toggled
            items += [RunGroup(selection.group, value, len(members), is_open), *(members if is_open else ())]
    else:
        items += usual
    if failed:
        is_open = f"{FAILED}:" in selection.toggled
        items += [RunGroup(FAILED, "", len(failed), is_open), *(failed if is_open else ())]
    return items


def _has_failed_at_once(run: RunSummary) -> bool:
    return run.state is State.FAILED and run.batches_trained == 0


def _names(runs: Sequence[RunSummary]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the names of hyperparameters, of those that differ, and of metrics, of the newest runs."""
    newest = sorted(runs, key=lambda run: run.created_at, reverse=True)[:_COMPARED]
    first: dict[str, Any] = {}
    counts: dict[str, int] = {}
    differing: set[str] = set()
    metrics: dict[str, None] = {}
    for run in newest:
        for name, value in hyperparameters_of(run).items():
            counts[name] = counts.get(name, 0) + 1
            if name not in differing and first.setdefault(name, value) != value:
                differing.add(name)
        for group, values in run.latest.items():
            metrics |= dict.fromkeys(f"{group}.{name}" for name in islice(values, _MOST_COLUMNS))
    differing |= {name for name, count in counts.items() if count < len(newest)}
    names = tuple(islice(counts, _MOST_COLUMNS))
    return names, tuple(name for name in names if name in differing), tuple(islice(metrics, _MOST_COLUMNS))


def _column(name: str) -> Values:
    return _SORTS.get(name) or getter(name)


def row_of(run: RunSummary, values: Sequence[Values]) -> RunRow:
    """Return a run as a row, with those values."""
    return RunRow(
        id=run.id,
        state=run.state,
        entrypoint=run.entrypoint,
        definition=run.definition,
        definition_root=run.definition_root,
        name=run.name,
        note=shortened(run.note, _LONGEST_NOTE),
        tags=run.tags,
        starred=run.starred,
        archived=run.archived,
        created_at=run.created_at,
        seconds=run.seconds,
        batches_trained=run.batches_trained,
        best=run.best,
        values=tuple(_value(value(run)) for value in values),
    )


def _value(value: Any) -> Any:
    if value is MISSING:
        return None
    if value is None or isinstance(value, (bool, int, float)):
        return str(value) if value is None or isinstance(value, bool) else value
    return shortened(value if isinstance(value, str) else repr(value), _LONGEST_VALUE)


def check_grouping(group: str) -> str:
    """Return ``group`` if it is one of ``GROUPINGS``.

    Raises:
        ArgumentError: It is none.
    """
    if group not in GROUPINGS:
        raise ArgumentError(f"Runs cannot be grouped by {group[:40]!r}.", hint=f"By {', '.join(filter(None, GROUPINGS))}.")
    return group
