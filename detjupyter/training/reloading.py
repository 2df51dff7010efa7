"""What a reload replaced, told to whoever asked for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from detjupyter.definition.changes import CodeChanges, code_changes
from detjupyter.training.loaded import Loaded


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What changed between the code that was loaded and the code that has taken its place.

    Attributes:
        loaded_at: When the code before was loaded, in seconds since the epoch.
        batches_trained: How many batches the trial was trained on when its code was replaced.
        code: The files, classes and functions that differ.
        hyperparameters: The hyperparameters that differ: name, value before, value now; None where there was or is none.
    """

    loaded_at: float
    batches_trained: int
    code: CodeChanges
    hyperparameters: tuple[tuple[str, Any, Any], ...]

    def __bool__(self) -> bool:
        return bool(self.code or self.hyperparameters)

    def __str__(self) -> str:
        lines = [f"  {change}" for change in self.code.files]
        lines += [f"  {name}: {before!r} → {now!r}" for name, before, now in self.hyperparameters]
        since = time.strftime("%H:%M:%S", time.localtime(self.loaded_at))
        head = f"Reloaded at batch {self.batches_trained:,}; changed since {since}:"
        return "\n".join([head, *lines]) if lines else f"Reloaded at batch {self.batches_trained:,}; nothing has changed since {since}."


def compare(before: Loaded, now: Loaded, batches_trained: int) -> ReloadReport:
    """Return what differs between two loads of one definition."""
    old, new = _flat(before), _flat(now)
    return ReloadReport(
        loaded_at=before.loaded_at,
        batches_trained=batches_trained,
        code=code_changes(before.trial_class.scope.sources(), now.trial_class.scope.sources()),
        hyperparameters=tuple((name, old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name)),
    )


def replaced_names(report: ReloadReport) -> str:
    """Return what a reload replaced in a few words, for an object that was built before it: ``train_batch, helper``."""
    names = [change.name.rpartition(".")[2] if "(" not in change.name else change.name for change in report.code.names]
    shown = ", ".join(dict.fromkeys(names[:4]))
    return (shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")) or "its modules"


def _flat(loaded: Loaded) -> dict[str, Any]:
    return {name: loaded.config.value(name) for name in loaded.config.origins}
