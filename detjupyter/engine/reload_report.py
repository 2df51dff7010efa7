"""The report on a reload: which code and hyperparameters have changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from detjupyter.definition.changes import CodeChanges
from detjupyter.engine.loaded import changed_hyperparameters, changes_between
from detjupyter.protocol.recipe import LoadedRecord
from detjupyter.text import printable

_NAMED = 4


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """The differences between the old and the new code of a reload.

    Attributes:
        loaded_at: When the old code was loaded, in seconds since the Unix epoch.
        batches_trained: The number of batches trained at the reload.
        code: The files, classes and functions that differ.
        hyperparameters: The hyperparameters that differ, as (name, old value, new value); a missing value is None.
        before: The old load.
        now: The new load.
    """

    loaded_at: float
    batches_trained: int
    code: CodeChanges
    hyperparameters: tuple[tuple[str, Any, Any], ...]
    before: LoadedRecord = field(repr=False)
    now: LoadedRecord = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.code or self.hyperparameters)

    def __str__(self) -> str:
        lines = [f"  {change}" for change in self.code.files]
        lines += [f"  {name}: {before!r} → {now!r}" for name, before, now in self.hyperparameters]
        since = time.strftime("%H:%M:%S", time.localtime(self.loaded_at))
        head = f"Reloaded at batch {self.batches_trained:,}; changed since {since}:"
        if not lines:
            return f"Reloaded at batch {self.batches_trained:,}; nothing has changed since {since}."
        return printable("\n".join([head, *lines]))

    def replaced_names(self) -> str:
        """Return the replaced functions and classes in a few words, such as ``train_batch, helper``, for errors of objects built before."""
        names = [change.name.rpartition(".")[2] if "(" not in change.name else change.name for change in self.code.names]
        shown = ", ".join(dict.fromkeys(names[:_NAMED]))
        return (shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")) or "its modules"


def compare(before: LoadedRecord, now: LoadedRecord, batches_trained: int) -> ReloadReport:
    """Return the differences between two loads of a definition."""
    return ReloadReport(
        loaded_at=before.loaded_at,
        batches_trained=batches_trained,
        code=changes_between(before, now),
        hyperparameters=changed_hyperparameters(before, now),
        before=before,
        now=now,
    )
