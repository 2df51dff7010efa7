"""The history as a Python API: runs and their data."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detjupyter.errors import ArgumentError, StoreError
from detjupyter.next_step import worded
from detjupyter.protocol.recipe import LoadRecipe
from detjupyter.protocol.records import CheckpointRecord, FloatArray, HyperparameterChange, LogLine, RunRecord
from detjupyter.protocol.states import Group, State
from detjupyter.store import open_store
from detjupyter.store.annotation import Annotation
from detjupyter.store.base import Store
from detjupyter.store.code import Code, CodeStore
from detjupyter.store.code_diff import CodeDiff, diff_settings
from detjupyter.store.deletion import Deleted, delete_runs, undelete_runs
from detjupyter.store.export.files import export
from detjupyter.store.export.frames import metrics_frame
from detjupyter.store.export.frames import runs_frame as frame_of
from detjupyter.store.lineage import parent_of
from detjupyter.store.run_filter import RunFilter
from detjupyter.store.run_values import settings_of
from detjupyter.store.summary import RunSummary
from detjupyter.text import one_line

CODE_EVENT = "code"
"""The kind of the event that a session appends when edited code takes effect: ``at``, ``batches_trained``, ``bundle_hash``, ``load``."""


COMMAND_EVENT = "command"
"""The kind of the event about an answered command."""

LOADED_EVENT = "loaded"
"""The kind of the event about a reload, with the values that apply from then on."""


WARNING_EVENT = "warning"
"""The kind of the event about a warning, with its ``text``."""

_PAGE = 4000
"""How many runs are read at once while a condition is evaluated."""

_MAX_AGE_S = 0.05
"""How long the states of a listing are used without asking whether the history has changed; sessions write twice a second."""


class CodeVersion(NamedTuple):
    """The code that a run was trained with after ``batches_trained`` batches; ``load`` is the number of the load that introduced it."""

    batches_trained: int
    at: float
    bundle_hash: str
    load: int = 0


class Run:
    """One run of the history. Every attribute is read from the store on each access, so a live run shows its progress.

    Thread: any.
    """

    __slots__ = ("_listing", "_store", "id")

    def __init__(self, store: Store, run_id: str, listing: _Listing | None = None) -> None:
        self._store = store
        self._listing = listing
        self.id = run_id

    def __repr__(self) -> str:
        try:
            record = self.record
        except StoreError:  # another process keeps it locked, for example: a cell that shows the run has not failed
            return one_line(f"<Run {self.id}, which the history does not have>")
        best = f", best {record.best.name} {record.best.value:.4g}" if record.best else ""
        name = f" {record.name!r}" if record.name else ""
        return one_line(f"<Run {self.id}{name}: {record.entrypoint}, {record.state.value}, {record.batches_trained:,} batches{best}>")

    @property
    def record(self) -> RunRecord:
        """The record of the run."""
        return self._store.run(self.id)

    @property
    def state(self) -> str:
        """The state of the run; ``interrupted`` if its kernel died."""
        return (self.record.state if self._listing is None else self._listing.state(self.id)).value

    @property
    def recipe(self) -> LoadRecipe | None:
        """The load recipe of the trial; None for the run of a script."""
        return self.record.recipe

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The current values, after the last reload; ``record.hyperparameters`` has the initial ones."""
        reloads = [event for event in self.events() if event.get("kind") == LOADED_EVENT]
        values: dict[str, Any] = reloads[-1]["hyperparameters"] if reloads else self.record.hyperparameters
        return values

    @property
    def hyperparameter_changes(self) -> tuple[HyperparameterChange, ...]:
        """The values that reloads changed, each with the number of batches trained at that time."""
        session = self.record.session
        return () if session is None else session.hyperparameter_changes

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings of detjupyter during the run, each once, also of faults that were corrected later."""
        texts = (event["text"] for event in self.events() if event.get("kind") == WARNING_EVENT)
        return tuple(dict.fromkeys(map(worded, texts)))

    @property
    def parent(self) -> tuple[str, int] | None:
        """The id of the run that this one continues, and the number of batches after which it does; None if it continues none.

        A run continues another one if a checkpoint of that one was restored before the first batch.
        """
        found = parent_of(self.id, self.events())
        return None if found is None else (found.run_id, found.batches_trained)

    @property
    def commands(self) -> list[dict[str, Any]]:
        """All commands, including refused ones, in the order in which they took effect: kind, arguments, origin, batch and outcome.

        With :attr:`recipe` and :attr:`code_versions` they are sufficient to repeat the run.
        """
        places, last = [], 0
        for event in self.events():
            if event.get("kind") == COMMAND_EVENT:
                last = int(event["number"]) or last  # a command refused before it got a number keeps its position
                places.append(((last, event["number"] == 0), event))
        return [event for _, event in sorted(places, key=lambda place: place[0])]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as read from the file."""
        return self.record.config

    @property
    def is_live(self) -> bool:
        """Whether a kernel is training the run now."""
        return State(self.state).is_live

    def metric_names(self, group: str = "training") -> list[str]:
        """Return the names of the metrics in ``group``, which is ``training`` or ``validation``."""
        wanted = _group(group)
        return [name for member, name in self._store.series_names(self.id) if member is wanted]

    def metrics(self, name: str, group: str = "training") -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return (batches, values), (N,) int64 and (N,) float64: one point per batch, or one per validation."""
        return self._store.series(self.id, _group(group), name)

    def to_frame(self) -> Any:
        """Return the metrics as a ``pandas.DataFrame``: a row for each number of batches trained, the index ``batch``.

        The columns are named by group and metric, such as ``training/loss``. Where a metric has no value there is NaN.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        return metrics_frame(self._store, self.id)

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the run to ``path``, and return its absolute path.

        Args:
            path: ``NAME.html`` for a page with the interactive charts, which any browser opens; ``NAME.csv``; ``NAME.parquet`` (needs
                pyarrow); or ``NAME/`` for a directory of TensorBoard's event files (needs tensorboard), which the importers of other
                trackers read, too.
            overwrite: Whether to replace what is there; a directory with anything else than event files is never replaced.

        Raises:
            ArgumentError: The name does not say a format.
            ExportError: Something is there, or it cannot be written. What was there is unchanged. A directory that contains more than
                event files is never replaced.
            MissingPackageError: The package that the format needs is not installed.
        """
        return export(self._store, self.id, path, overwrite=overwrite)

    def delete(self) -> Deleted:
        """Delete the run with its curves, its log and its checkpoints; :meth:`undelete` brings it back within ten seconds.

        Raises:
            SessionError: It is running or paused.
            RunNotFoundError: It was deleted already.
        """
        return delete_runs(self._store, [self.id])

    def undelete(self) -> None:
        """Bring the run back after :meth:`delete`, with everything that belongs to it.

        Raises:
            StoreError: The ten seconds are over.
        """
        undelete_runs(self._store, [self.id])

    def annotate(
        self,
        *,
        name: str | None = None,
        note: str | None = None,
        tags: Iterable[str] | None = None,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
        starred: bool | None = None,
        archived: bool | None = None,
    ) -> None:
        """Change several of :attr:`name`, :attr:`note`, :attr:`tags`, :attr:`starred` and :attr:`archived`; None leaves one as it is.

        Args:
            name: One line, up to 200 characters.
            note: Up to 10,000 characters.
            tags: The new tags, in place of all others; up to 50 of up to 100 characters.
            add_tags: Tags that are added.
            remove_tags: Tags that are removed.
            starred: Whether it has a star.
            archived: Whether lists of runs hide it.

        Raises:
            ArgumentError: A value has another type, or is too long; nothing was changed.
            RunNotFoundError: The run was deleted.
        """
        annotation = Annotation(name, note, tags, add_tags, remove_tags, starred, archived)
        self._store.annotate_runs([self.id], annotation)

    @property
    def name(self) -> str:
        """The name that the user has given to the run, empty if none; can be set, as the following ones."""
        return self.record.name

    @name.setter
    def name(self, name: str) -> None:
        self.annotate(name=name)

    @property
    def note(self) -> str:
        """What the user has noted about the run."""
        return self.record.note

    @note.setter
    def note(self, note: str) -> None:
        self.annotate(note=note)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the run, in the order in which they were added."""
        return self.record.tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        self.annotate(tags=tags)

    @property
    def starred(self) -> bool:
        """Whether the run has a star."""
        return self.record.starred

    @starred.setter
    def starred(self, starred: bool) -> None:
        self.annotate(starred=starred)

    @property
    def archived(self) -> bool:
        """Whether lists of runs hide the run, unless they are asked for archived ones."""
        return self.record.archived

    @archived.setter
    def archived(self, archived: bool) -> None:
        self.annotate(archived=archived)

    def log(self) -> list[LogLine]:
        """Return the output of the trial."""
        return self._store.log(self.id)[1]

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the run in order: states, validations, checkpoints, commands, errors."""
        return self._store.events(self.id)

    def checkpoints(self) -> list[CheckpointRecord]:
        """Return the checkpoints of the run."""
        return self._store.checkpoints(self.id)

    @property
    def code(self) -> Code:
        """The files that the run began with: a mapping of paths to contents, which can be written to a directory and compared.

        Raises:
            StoreError: The code was not stored, or is damaged.
        """
        return self._code(self.record.bundle_hash)

    @property
    def code_versions(self) -> list[CodeVersion]:
        """The versions of the code: the one that the run began with, then one for each reload that changed it."""
        record = self.record
        versions = [CodeVersion(0, record.created_at, record.bundle_hash)]
        versions += [
            CodeVersion(int(event["batches_trained"]), float(event["at"]), str(event["bundle_hash"]), int(event.get("load", 0)))
            for event in self.events()
            if event.get("kind") == CODE_EVENT
        ]
        return versions

    def code_after(self, batches_trained: int) -> Code:
        """Return the files that the run was trained with after that many batches.

        Raises:
            StoreError: The code was not stored, or is damaged.
        """
        reached = [version for version in self.code_versions if version.batches_trained <= batches_trained]
        return self._code(reached[-1].bundle_hash)

    def diff(self, other: Run) -> CodeDiff:
        """Return the differences from this run to ``other``: code, hyperparameters, configuration, seed, device.

        The code that the runs began with is compared. A note says if it was not stored, or if a reload changed it.

        Raises:
            RunNotFoundError: One of the two was deleted.
        """
        before, after = self.record, other.record
        settings = diff_settings(settings_of(before), settings_of(after))
        notes = tuple(run._reload_note() for run in (self, other) if len(run.code_versions) > 1)
        if before.bundle_hash == after.bundle_hash:
            return CodeDiff(settings=settings, notes=notes)
        try:
            return replace(self.code.diff(other.code), settings=settings, notes=notes)
        except StoreError as error:
            return CodeDiff(settings=settings, notes=(*notes, f"The code of the two runs differs, but cannot be compared. {error}"))

    def _reload_note(self) -> str:
        later = self.code_versions[1:]
        batches = ", ".join(f"{version.batches_trained:,}" for version in later)
        return f"{self.id} continued with edited code after batch {batches}; this compares the code that it began with."

    def _code(self, bundle_hash: str) -> Code:
        return CodeStore(self._store.home).code(bundle_hash)


class RunList(list[Run]):
    """A list of runs. A notebook that has loaded the magics shows it as a table.

    Attributes:
        are_chosen: Whether only runs that match are in it.
    """

    def __init__(self, runs: Iterable[Run], *, are_chosen: bool = False) -> None:
        super().__init__(runs)
        self.are_chosen = are_chosen

    def delete(self) -> Deleted:
        """Delete the runs with their curves, logs and checkpoints; ``dj.runs(None, where="batches < 10").delete()`` deletes by a condition.

        The ``undo()`` of the result brings them back within ten seconds, and so does :meth:`undelete`.

        Raises:
            SessionError: One of them is running or paused; then none is deleted.
            RunNotFoundError: One of them was deleted already; then none is deleted.
        """
        return delete_runs(self[0]._store, [run.id for run in self]) if self else Deleted((), 0)

    def undelete(self) -> None:
        """Bring the runs of the list back after :meth:`delete`; those that were not deleted stay as they are.

        Raises:
            StoreError: The ten seconds are over for one of them; then no run comes back.
        """
        if self:
            undelete_runs(self[0]._store, [run.id for run in self])

    def annotate(
        self,
        *,
        note: str | None = None,
        tags: Iterable[str] | None = None,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
        starred: bool | None = None,
        archived: bool | None = None,
    ) -> None:
        """Change notes, tags, stars and archived state of all runs of the list as :meth:`Run.annotate` does, or of none.

        Raises:
            ArgumentError: A value has another type, or is too long.
            RunNotFoundError: One of the runs was deleted.
        """
        annotation = Annotation(None, note, tags, add_tags, remove_tags, starred, archived)
        if self:
            self[0]._store.annotate_runs([run.id for run in self], annotation)

    def summaries(self) -> list[RunSummary]:
        """Return the summaries of the runs that are still in the history."""
        return self[0]._store.summaries_of([run.id for run in self]) if self else []


class _Listing:
    """The states of the runs that one call of :func:`runs` returned: read together, and again only after the history has changed.

    Thread: any; two threads may both read the states.
    """

    def __init__(self, store: Store, token: int, states: Mapping[str, State]) -> None:
        self._store = store
        self._token = token
        self._states = states
        self._looked_at = time.monotonic()

    def state(self, run_id: str) -> State:
        """Return the state of one of the runs.

        Raises:
            RunNotFoundError: The run was deleted.
        """
        now = time.monotonic()
        if now - self._looked_at > _MAX_AGE_S:
            token = self._store.change_token()
            if token != self._token:
                self._states = self._store.run_states(limit=None)
                self._token = token
            self._looked_at = now
        state = self._states.get(run_id)
        # The death of a kernel changes nothing in the history, so the process of a live run is checked each time.
        return self._store.run(run_id).state if state is None or state.is_live else state


def runs(
    limit: int | None = 100,
    *,
    before: Run | str | None = None,
    state: str | None = None,
    entrypoint: str | None = None,
    where: str | None = None,
    include_archived: bool = False,
) -> RunList:
    """Return the newest runs of the history, newest first.

    Args:
        limit: How many, None for all.
        before: A run, or its id: only older ones are returned. ``dj.runs(before=page[-1])`` is the page after ``page``.
        state: Only runs in that state, such as ``finished``, ``failed`` or ``interrupted``.
        entrypoint: Only runs of that entrypoint, such as ``model_def:MyTrial``.
        where: Only runs for which a condition holds, such as ``"lr < 1e-3 and accuracy > 0.9"``; its names are those of hyperparameters,
            newest metrics and facts (see :class:`~detjupyter.store.run_filter.RunFilter`).
        include_archived: Whether archived runs are among them; they also are if the condition has the name ``archived``.

    Raises:
        ArgumentError: ``limit`` is not a whole number from 0, there is no such state, or the condition cannot be read or has a name that no
            run has.
        RunNotFoundError: There is no run ``before``.
        StoreError: The history cannot be read.
    """
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit < 1 << 63):
        raise ArgumentError(f"limit must be a whole number from 0, or None for all runs, not {limit!r}.")
    condition = None if where is None else RunFilter(where)
    store = open_store()
    token = store.change_token()  # before the states: what changes in between is read again
    states = store.run_states(
        limit=limit if condition is None else None,
        before=before.id if isinstance(before, Run) else before,
        state=None if state is None else _state(state),
        entrypoint=entrypoint,
        include_archived=include_archived or (condition is not None and "archived" in condition.names),
    )
    listing = _Listing(store, token, states)
    chosen = states if condition is None else _matching(store, states, condition, limit)
    are_chosen = not (before is state is entrypoint is where is None)
    return RunList((Run(store, run_id, listing) for run_id in chosen), are_chosen=are_chosen)


def _matching(store: Store, states: Mapping[str, State], condition: RunFilter, limit: int | None) -> list[str]:
    """Return the ids of the first ``limit`` of ``states`` for which the condition holds.

    Raises:
        ArgumentError: No run of the history has a name of the condition. A ``not`` or ``or`` with such a name would match wrong runs.
    """
    found: list[str] = []
    unknown = list(condition.names)
    last = None
    while page := store.summaries(limit=_PAGE, before=last):
        last = page[-1].id
        for run in page:
            is_full = len(found) == limit
            if is_full and not unknown:
                return found
            if unknown:
                unknown = condition.unknown_to(run, unknown)
            if not is_full and run.id in states and condition.matches(run):
                found.append(run.id)
    if unknown:
        condition.require_known(unknown, store.summaries())
    return found


def runs_frame(
    limit: int | None = 100,
    *,
    before: Run | str | None = None,
    state: str | None = None,
    entrypoint: str | None = None,
    where: str | None = None,
    include_archived: bool = False,
) -> Any:
    """Return the runs of :func:`runs` as a ``pandas.DataFrame``, one row for each, with their ids as the index.

    The columns are facts (``state``, ``created``, ``batches``, ``best`` …), the hyperparameters (``hparam.lr``) and the newest values of
    the metrics (``training.loss``): all as conditions name them.

    Raises:
        MissingPackageError: pandas is not installed.
    """
    chosen = runs(limit, before=before, state=state, entrypoint=entrypoint, where=where, include_archived=include_archived)
    return frame_of(chosen.summaries())


def run(run_id: str) -> Run:
    """Return the run with that id.

    Raises:
        RunNotFoundError: There is no such run.
    """
    store = open_store()
    return Run(store, store.run(run_id).id)


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError:
        raise ArgumentError(f"Unknown state {name!r}.", hint=f"The states are {', '.join(state.value for state in State)}.") from None


def _group(name: str) -> Group:
    try:
        return Group(name)
    except ValueError:
        there = " and ".join(group.value for group in Group)
        raise ArgumentError(f"Unknown group of metrics {name!r}.", hint=f"The groups are {there}.") from None
