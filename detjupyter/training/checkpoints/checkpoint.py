"""Checkpoints: the state is copied between two batches and written behind, beside, and renamed when it is complete.

The layout is Determined's, so that its own loader reads it: the state as the framework's room writes it, ``metadata.json``,
``load_data.json`` for what the trial is built from, ``code/`` with the files that ship; and a manifest of ours with the hash of each.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detjupyter.errors import CheckpointError, StoreError
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.wire import encode
from detjupyter.store.code import Code
from detjupyter.store.location import home
from detjupyter.training.adapter import Snapshot
from detjupyter.training.checkpoints.files import Manifest, partial_name, read_manifest, seal, sweep, sync_directory, verify
from detjupyter.training.checkpoints.foreign import is_foreign, progress
from detjupyter.training.loop import Trainee

CODE = "code"
LOAD_DATA = "load_data.json"
_TRIAL_TYPES = {"pytorch": "PyTorchTrial", "keras": "TFKerasTrial", "estimator": "EstimatorTrial"}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a trial is of, for whoever loads the checkpoint without the session.

    Attributes:
        run_id: Its run.
        entrypoint: What its class was loaded by.
        framework: The framework of the class.
        file: The name of the definition's only file, None if it is a directory.
        config: The configuration as it was read.
        hyperparameters: The values that the trial was built with.
        code: The files that ship, None if they could not be kept.
    """

    run_id: str
    entrypoint: str
    framework: str
    file: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    code: Code | None = None

    def load_data(self) -> str:
        """Return what Determined's loader builds a trial from, as JSON."""
        module, _, name = self.entrypoint.partition(":")
        data = {
            "trial_type": _TRIAL_TYPES.get(self.framework, self.framework),
            "experiment_config": encode(self.config),
            "hparams": encode(self.hyperparameters),
            # In a definition of one file the entrypoint names no module, for Determined it must.
            "trial_cls_spec": f"{module or Path(self.file or '__init__.py').stem}:{name}",
            "is_trainer": True,
        }
        return json.dumps(data, indent=1)


@dataclass(frozen=True, slots=True)
class PendingCheckpoint:
    """A checkpoint whose state is copied and whose files are not written yet. Made by :func:`begin_checkpoint`."""

    directory: Path
    identity: str
    snapshot: Snapshot
    manifest: Manifest
    origin: Origin
    automatic: bool
    metric: float | None
    earlier: Path | None

    @property
    def needs_driver(self) -> bool:
        """Whether :meth:`write` has to run in the driver's thread."""
        return self.snapshot.needs_driver

    def write(self) -> CheckpointRecord:
        """Write the files; the directory appears when it is complete.

        Raises:
            CheckpointError: The disk does not take it; nothing is left behind.

        Thread: any, unless :attr:`needs_driver`; one at a time for each run.
        """
        target, scratch = self.directory / self.identity, self.directory / partial_name(self.identity)
        try:
            sweep(self.directory)
            scratch.mkdir(parents=True)
            self.snapshot.write(scratch)
            if self.origin.framework in _TRIAL_TYPES:
                (scratch / LOAD_DATA).write_text(self.origin.load_data(), encoding="utf-8")
            if self.origin.code is not None:
                _lay_out(self.origin.code, scratch / CODE, self.earlier)
            size_bytes = seal(scratch, self.manifest)
            scratch.rename(target)
            sync_directory(self.directory)
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint after batch {self.manifest.batches_trained} could not be written: {error.strerror or error}.",
                path=str(target),
                hint="Training goes on; make room and use `%det_checkpoint`.",
            ) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return CheckpointRecord(
            self.identity,
            self.manifest.run_id,
            self.manifest.batches_trained,
            time.time(),
            str(target),
            size_bytes,
            automatic=self.automatic,
            metric=self.metric,
        )


def begin_checkpoint(
    trainee: Trainee, directory: Path, origin: Origin, *, automatic: bool = False, metric: float | None = None, earlier: Path | None = None
) -> PendingCheckpoint:
    """Copy the trial's state as it is, for a checkpoint in a new directory under ``directory``.

    Args:
        trainee: The trial.
        directory: The checkpoints of its run.
        origin: What the trial is of.
        automatic: Whether nobody asked for it, so that it may be deleted later.
        metric: The metric that ranks, if it is known of just these weights.
        earlier: A checkpoint of the same code, whose files may be shared.
    """
    manifest = Manifest(
        run_id=origin.run_id,
        batches_trained=trainee.batches_trained,
        records_trained=trainee.records_trained,
        trial_class=type(trainee.adapter.trial).__qualname__,
        entrypoint=origin.entrypoint,
        framework=origin.framework,
        file=origin.file,
        code=None if origin.code is None else origin.code.bundle_hash,
    )
    identity = f"{origin.run_id}-{trainee.batches_trained:08d}-{secrets.token_hex(2)}"
    snapshot = trainee.adapter.snapshot(trainee.batches_trained)
    return PendingCheckpoint(directory, identity, snapshot, manifest, origin, automatic, metric, earlier)


def restore_checkpoint(trainee: Trainee, directory: Path, *, trust: bool = False) -> None:
    """Put the trial back to where it was when ``directory`` was written, by us or by Determined.

    Args:
        trainee: The trial.
        directory: The checkpoint.
        trust: Whether objects of any class may be unpickled, which can run any code.

    Raises:
        CheckpointError: There is no complete checkpoint, it is damaged, or it belongs to another class.
    """
    if is_foreign(directory):
        batches_trained, records_trained = progress(directory)
    else:
        manifest = read_manifest(directory)
        mine = type(trainee.adapter.trial).__qualname__
        if manifest.trial_class != mine:
            raise CheckpointError(f"This is a checkpoint of {manifest.trial_class}, and {mine} is loaded.", path=str(directory))
        verify(directory, manifest)
        trust = trust or _is_our_own(directory)
        batches_trained, records_trained = manifest.batches_trained, manifest.records_trained
    trainee.adapter.restore(directory, trust=trust)
    trainee.move_to(batches_trained, records_trained)


def _is_our_own(directory: Path) -> bool:
    """Return whether a checkpoint lies in this user's history, where only their own kernels write."""
    return directory.resolve().is_relative_to((home() / "checkpoints").resolve())


def _lay_out(code: Code, target: Path, earlier: Path | None) -> None:
    """Write the files that ship into ``target``; those of an earlier checkpoint of the same code are linked, not written again."""
    target.mkdir()
    executable = {version.path for version in code.versions if version.executable}
    for path in code:
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if earlier is not None:
            with suppress(OSError):  # deleted meanwhile, or a disk without links
                os.link(earlier / CODE / path, file)
                continue
        try:
            file.write_bytes(code[path])
        except StoreError as error:
            raise CheckpointError(
                f"The code for the checkpoint cannot be read: {error.message}", path=str(target), hint=error.hint
            ) from None
        if path in executable:
            file.chmod(file.stat().st_mode | 0o100)
