"""The history in memory: for tests, and for sessions that are not saved."""

# ruff: noqa: D102 - the contract of the methods is in Store.

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from detjupyter.errors import RunNotFoundError, StoreError
from detjupyter.protocol.records import BestRecord, CheckpointRecord, FloatArray, LogLine, RunRecord, SessionRecord
from detjupyter.protocol.states import Group, State
from detjupyter.protocol.wire import decode, encode
from detjupyter.store.annotation import Annotation
from detjupyter.store.base import BatchArray, RunCounts, SeriesPoints, Store, as_points, no_checkpoint
from detjupyter.store.owner import Owner
from detjupyter.store.series import drop_replaced
from detjupyter.store.summary import RunSummary, summary_of


@dataclass(slots=True)
class _Run:
    number: int
    record: RunRecord
    owner: Owner
    chunks: list[tuple[int, Group, str, BatchArray, FloatArray]] = field(default_factory=list)
    lines: list[tuple[int, LogLine]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[CheckpointRecord] = field(default_factory=list)
    annotated_at: float = 0.0
    deleted_at: float | None = None


class MemoryStore(Store):
    """A history that ends with the process.

    Args:
        home: The directory of checkpoints; by default a temporary directory, deleted with the store.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._home = home
        self._runs: dict[str, _Run] | None = {}
        self._numbers = 0
        self._depth = 0
        self._undo: list[Callable[[], object]] = []

    @property
    def home(self) -> Path:
        with self._lock:
            if self._home is None:
                self._home = Path(tempfile.mkdtemp(prefix="detjupyter-"))
                weakref.finalize(self, shutil.rmtree, self._home, ignore_errors=True)
            return self._home

    @contextmanager
    def transaction(self, *, wait_s: float | None = None) -> Iterator[None]:  # noqa: ARG002 - no other process can lock it
        with self._lock:
            self._check_open()
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    for undo in reversed(self._undo):
                        undo()
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._undo.clear()

    def create_run(self, run: RunRecord) -> None:
        with self.transaction():
            runs = self._check_open()
            if run.id in runs:
                raise StoreError(f"A run with the id {run.id!r} already exists.", hint="Ids are never used twice.")
            runs[run.id] = _Run(self._next_number(), decode(RunRecord, encode(run)), Owner.named(run.host, run.pid))
            self._undo.append(lambda: runs.pop(run.id))

    def update_run(
        self,
        run_id: str,
        *,
        state: State,
        session: SessionRecord | None,
        best: BestRecord | None,
        batches_trained: int,
        ended_at: float | None,
    ) -> None:
        with self.transaction():
            self._replace(
                self._find(run_id),
                state=state,
                session=session,
                best=best,
                batches_trained=batches_trained,
                ended_at=ended_at,
                updated_at=time.time(),
            )

    def annotate_runs(self, run_ids: Iterable[str], annotation: Annotation) -> None:
        with self.transaction():
            for run_id in dict.fromkeys(run_ids):
                run = self._find(run_id)
                changes = annotation.changes(self._read(run))
                if changes:
                    self._replace(run, **changes)
                    self._set(run, "annotated_at", time.time())

    def append_points(self, run_id: str, curves: Sequence[SeriesPoints]) -> None:
        own = [(group, name, *as_points(batches, values)) for group, name, batches, values in curves]
        own = [curve for curve in own if len(curve[2])]
        if own:
            with self.transaction():
                chunks = self._find(run_id).chunks
                for curve in own:
                    self._append(chunks, (self._next_number(), *curve))

    def append_events(self, run_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        if events:
            with self.transaction():
                kept = self._find(run_id).events
                for event in events:
                    self._append(kept, encode(event))

    def append_log(self, run_id: str, lines: Sequence[LogLine]) -> None:
        if lines:
            with self.transaction():
                run = self._find(run_id)
                for line in lines:
                    self._append(run.lines, (self._next_number(), line))

    def add_checkpoint(self, checkpoint: CheckpointRecord) -> None:
        with self.transaction():
            run = self._find(checkpoint.run_id)
            if any(checkpoint.id == known.id for known in self._all_checkpoints()):
                raise StoreError(f"A checkpoint with the id {checkpoint.id!r} already exists.", hint="Ids are never used twice.")
            self._append(run.checkpoints, checkpoint)

    def delete_checkpoint(self, checkpoint_id: str) -> None:
        with self.transaction():
            checkpoint = self.checkpoint(checkpoint_id)
            kept = self._find(checkpoint.run_id).checkpoints
            index = kept.index(checkpoint)
            del kept[index]
            self._next_number()
            self._undo.append(lambda: kept.insert(index, checkpoint))

    def runs(self, *, limit: int = 100, before: str | None = None, include_archived: bool = True) -> list[RunRecord]:
        with self._lock:
            end = _age(self._find(before)) if before is not None else None
            chosen = [run for run in self._listed().values() if end is None or _age(run) < end]
            chosen = [run for run in chosen if include_archived or not run.record.archived]
            return [self._read(run) for run in sorted(chosen, key=_age, reverse=True)[:limit]]

    def run_states(
        self,
        *,
        limit: int | None = 100,
        before: str | None = None,
        state: State | None = None,
        entrypoint: str | None = None,
        include_archived: bool = True,
    ) -> dict[str, State]:
        with self._lock:
            records = self.runs(limit=len(self._check_open()), before=before, include_archived=include_archived)
        found = ((run.id, run.state) for run in records if state in (None, run.state) and entrypoint in (None, run.entrypoint))
        return dict(islice(found, limit))

    def summaries(
        self, *, limit: int | None = None, before: str | None = None, entrypoint: str | None = None, updated_since: float | None = None
    ) -> list[RunSummary]:
        with self._lock:
            records = self.runs(limit=len(self._check_open()), before=before)
            found = [run for run in records if entrypoint in (None, run.entrypoint)]
            changed = [run for run in found if updated_since is None or self._is_changed(run, updated_since)]
        return list(map(summary_of, changed[:limit]))

    def summaries_of(self, run_ids: Sequence[str]) -> list[RunSummary]:
        with self._lock:
            runs = self._listed()
            return [summary_of(self._read(runs[run_id])) for run_id in run_ids if run_id in runs]

    def runs_updated_since(self, updated_at: float) -> list[RunRecord]:
        with self._lock:
            records = [self._read(run) for run in self._listed().values()]
            changed = [record for record in records if self._is_changed(record, updated_at)]
            return sorted(changed, key=lambda record: record.updated_at)

    def run(self, run_id: str) -> RunRecord:
        with self._lock:
            return self._read(self._find(run_id))

    def delete_run(self, run_id: str) -> None:
        with self.transaction():
            runs = self._check_open()
            run = runs.get(run_id) or self._find(run_id)
            if self._read(run).state.is_live:
                raise StoreError(f"The run {run_id!r} is {run.record.state.value}.", hint="Stop it first.")
            del runs[run_id]
            self._next_number()
            self._undo.append(lambda: runs.update({run_id: run}))

    def mark_deleted(self, run_ids: Iterable[str], at: float) -> None:
        with self.transaction():
            for run_id in run_ids:
                self._set(self._find(run_id), "deleted_at", at)

    def undelete(self, run_ids: Iterable[str]) -> None:
        with self.transaction():
            for run_id in run_ids:
                self._set(self._check_open().get(run_id) or self._find(run_id), "deleted_at", None)

    def marked_deleted(self, until: float) -> list[str]:
        with self._lock:
            marked = ((run_id, run.deleted_at) for run_id, run in self._check_open().items())
            return [run_id for run_id, at in marked if at is not None and at <= until]

    def series_names(self, run_id: str) -> list[tuple[Group, str]]:
        with self._lock:
            return list(dict.fromkeys((group, name) for _, group, name, _, _ in self._find(run_id).chunks))

    def series(self, run_id: str, group: Group, name: str) -> tuple[BatchArray, FloatArray]:
        with self._lock:
            chunks = [chunk[3:] for chunk in self._find(run_id).chunks if chunk[1:3] == (group, name)]
        return drop_replaced(*_join(chunks))

    def series_since(self, run_id: str, cursor: int) -> tuple[int, list[tuple[Group, str, BatchArray, FloatArray]]]:
        with self._lock:
            new = [chunk for chunk in self._find(run_id).chunks if chunk[0] > cursor]
        curves: dict[tuple[Group, str], list[tuple[BatchArray, FloatArray]]] = {}
        for _, group, name, batches, values in new:
            curves.setdefault((group, name), []).append((batches, values))
        return (new[-1][0] if new else cursor), [(*key, *_join(chunks)) for key, chunks in curves.items()]

    def log(self, run_id: str, after: int = 0, *, last: int | None = None) -> tuple[int, list[LogLine]]:
        with self._lock:
            new = [entry for entry in self._find(run_id).lines if entry[0] > after]
        if last is not None:
            new = new[max(len(new) - last, 0) :]
        return (new[-1][0] if new else after), [line for _, line in new]

    def counts(self, run_id: str) -> RunCounts:
        with self._lock:
            run = self._find(run_id)
            return RunCounts(sum(len(chunk[3]) for chunk in run.chunks), len(run.lines), len(run.events))

    def events(self, run_id: str) -> list[dict[str, Any]]:
        with self._lock:
            return [encode(event) for event in self._find(run_id).events]

    def checkpoints(self, run_id: str) -> list[CheckpointRecord]:
        with self._lock:
            return list(self._find(run_id).checkpoints)

    def checkpoint(self, checkpoint_id: str) -> CheckpointRecord:
        with self._lock:
            for checkpoint in self._all_checkpoints():
                if checkpoint.id == checkpoint_id:
                    return checkpoint
        raise no_checkpoint(checkpoint_id)

    def change_token(self) -> int:
        with self._lock:
            self._check_open()
            return self._numbers

    def close(self) -> None:
        with self._lock:
            self._runs = None

    def _check_open(self) -> dict[str, _Run]:
        if self._runs is None:
            raise StoreError("This store is closed.", hint="Open another.")
        return self._runs

    def _find(self, run_id: str) -> _Run:
        run = self._check_open().get(run_id)
        if run is None or run.deleted_at is not None:
            raise RunNotFoundError(run_id)
        return run

    def _listed(self) -> dict[str, _Run]:
        """Return the runs that are not marked as deleted."""
        return {run_id: run for run_id, run in self._check_open().items() if run.deleted_at is None}

    def _is_changed(self, record: RunRecord, since: float) -> bool:
        return max(record.updated_at, self._find(record.id).annotated_at) > since

    def _all_checkpoints(self) -> list[CheckpointRecord]:
        return [checkpoint for run in self._listed().values() for checkpoint in run.checkpoints]

    def _next_number(self) -> int:
        """Return a number that increases with every write, for ordering and for the change token."""
        self._numbers += 1
        return self._numbers

    def _append(self, items: list[Any], item: Any) -> None:
        items.append(item)
        self._next_number()
        self._undo.append(items.pop)

    def _replace(self, run: _Run, **changes: Any) -> None:
        before = run.record
        run.record = decode(RunRecord, encode(replace(before, **changes)))
        self._next_number()
        self._undo.append(lambda: setattr(run, "record", before))

    def _set(self, run: _Run, name: str, value: float | None) -> None:
        before = getattr(run, name)
        setattr(run, name, value)
        self._next_number()
        self._undo.append(lambda: setattr(run, name, before))

    def _read(self, run: _Run) -> RunRecord:
        """Return the run's record; if its owner has ended, record and return it as interrupted."""
        now = time.time()
        record = run.record
        if record.state.is_live and run.owner.is_gone(record.updated_at, now):
            with self.transaction():
                self._replace(run, state=State.INTERRUPTED, ended_at=record.updated_at, updated_at=now)
        return run.record


def _age(run: _Run) -> tuple[float, int]:
    return run.record.created_at, run.number


def _join(chunks: Sequence[tuple[BatchArray, FloatArray]]) -> tuple[BatchArray, FloatArray]:
    if not chunks:
        return np.empty(0, np.int64), np.empty(0, np.float64)
    batches, values = zip(*chunks, strict=True)
    return np.concatenate(batches), np.concatenate(values)
