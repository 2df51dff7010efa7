"""What a killed process leaves in the directory of its run's checkpoints: incomplete ones, and complete ones that it had not recorded yet.

A checkpoint is written under a name that begins with a dot and ends with ``.partial``, and renamed when it is complete. Its record follows
a moment later, from another thread.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

from detjupyter.protocol.records import CheckpointRecord

MANIFEST = "detjupyter.json"
"""The file in a complete checkpoint that says what it contains."""

_PARTIAL = ".partial"
_MOST = (1 << 63) - 1


def partial_name(identity: str) -> str:
    """Return the name of a checkpoint's directory while it is being written or deleted."""
    return f".{identity}{_PARTIAL}"


def is_partial(directory: Path) -> bool:
    """Return whether a directory has such a name."""
    return directory.name.startswith(".") and directory.name.endswith(_PARTIAL)


def sweep(directory: Path, *, untouched_s: float = 0.0) -> None:
    """Delete the incomplete checkpoints of ended processes from the checkpoints of a run. The caller must not be writing one there.

    Args:
        directory: The checkpoints of the run.
        untouched_s: Only those are deleted in which nothing has changed for so many seconds.
    """
    for entry in directory.glob(f".*{_PARTIAL}") if directory.is_dir() else ():
        if untouched_s <= 0 or time.time() - _changed_at(entry) >= untouched_s:
            shutil.rmtree(entry, ignore_errors=True)


def _changed_at(directory: Path) -> float:
    """Return when a directory, or something in it, was last changed."""
    found = [math.inf]  # unknown: it possibly changes now
    with suppress(OSError):
        found = [one.stat().st_mtime for one in (directory, *directory.rglob("*"))]
    return max(found)


def unrecorded(directory: Path, run_id: str, recorded: Collection[str]) -> list[CheckpointRecord]:
    """Return records of the complete checkpoints of a run that are not in ``recorded``, in the order in which they were written.

    They count as requested by the user, so that nothing deletes them automatically. A checkpoint with a damaged manifest is ignored.

    Raises:
        OSError: The directory cannot be read.
    """
    found = []
    for entry in directory.iterdir() if directory.is_dir() else ():
        if entry.name in recorded or not entry.name.startswith(f"{run_id}-") or entry.is_symlink():
            continue
        manifest = entry / MANIFEST
        try:
            if not manifest.is_file():
                continue
            data, written_at = json.loads(manifest.read_text(encoding="utf-8")), manifest.stat().st_mtime
            size_bytes = manifest.stat().st_size + sum(int(file["size_bytes"]) for file in data["files"].values())
            batches = data["batches_trained"]
            if data["run_id"] == run_id and is_count(batches):
                found.append(CheckpointRecord(entry.name, run_id, batches, written_at, str(entry), size_bytes))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
    return sorted(found, key=lambda one: (one.batches_trained, one.created_at))


def checkpoints_of(home: Path, run_id: str) -> Path | None:
    """Return the directory of a run's checkpoints; None if the id is not the name of a directory in ``home``, or it is a link."""
    directory = home / "checkpoints" / run_id
    is_name = run_id not in ("", ".", "..") and "/" not in run_id and "\\" not in run_id and "\0" not in run_id
    return directory if is_name and not directory.is_symlink() else None


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value from a checkpoint can be a number of batches, records or bytes: whole, not negative, and of 64 bits."""
    return type(value) is int and 0 <= value <= _MOST


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value from an event is a number, and none that is too large for a float."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= _MOST)
