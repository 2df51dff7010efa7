"""Checkpoints on disk: written beside, renamed when complete."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from pathlib import Path

from detjupyter.errors import CheckpointError
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.training.loop import Trainee

MANIFEST = "detjupyter.json"
FORMAT = 1


def write_checkpoint(trainee: Trainee, directory: Path, run_id: str) -> CheckpointRecord:
    """Write the trial's state into a new directory under ``directory``; it appears there only when it is complete.

    Raises:
        CheckpointError: the disk does not take it; nothing is left behind.
    """
    identity = f"{run_id}-{trainee.batches_trained:08d}-{secrets.token_hex(2)}"
    target = directory / identity
    scratch = directory / f".{identity}.partial"
    try:
        scratch.mkdir(parents=True)
        trainee.adapter.save(scratch, trainee.batches_trained)
        manifest = {
            "format": FORMAT,
            "run_id": run_id,
            "batches_trained": trainee.batches_trained,
            "records_trained": trainee.records_trained,
            "trial_class": type(trainee.adapter.trial).__qualname__,
        }
        (scratch / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        size_bytes = sum(_synced_size(file) for file in scratch.rglob("*") if file.is_file())
        scratch.rename(target)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint after batch {trainee.batches_trained} could not be written: {error.strerror or error}.",
            path=str(target),
            hint="Training goes on; make room and use `%det_checkpoint`.",
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return CheckpointRecord(identity, run_id, trainee.batches_trained, time.time(), str(target), size_bytes)


def restore_checkpoint(trainee: Trainee, directory: Path) -> None:
    """Put the trial back to where it was when ``directory`` was written.

    Raises:
        CheckpointError: there is no complete checkpoint, or it belongs to another class.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        batches_trained, records_trained = int(manifest["batches_trained"]), int(manifest["records_trained"])
        trial_class = str(manifest["trial_class"])
    except FileNotFoundError:
        raise CheckpointError("There is no checkpoint here.", path=str(directory)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The checkpoint's manifest cannot be read: {error}.", path=str(directory)) from None
    mine = type(trainee.adapter.trial).__qualname__
    if trial_class != mine:
        raise CheckpointError(f"This is a checkpoint of {trial_class}, and {mine} is loaded.", path=str(directory))
    trainee.adapter.restore(directory)
    trainee.move_to(batches_trained, records_trained)


def _synced_size(file: Path) -> int:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
