"""Checkpoints: copied between two batches, written in a background thread to a temporary directory, then renamed.

The layout is Determined's, so that Determined can load the checkpoint: the state in the framework's format, ``metadata.json``,
``load_data.json`` with the inputs for building the trial, and ``code/`` with the code archive. A manifest, ``detjupyter.json``, contains
the hash of each file.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from detjupyter.engine.checkpoints.determined import WRITTEN_BY_US
from detjupyter.engine.checkpoints.manifest import Manifest, partial_name, seal, sweep, sync_directory
from detjupyter.engine.checkpoints.signature import signature_for
from detjupyter.engine.progress import TrainingProgress
from detjupyter.errors import CheckpointError, StoreError
from detjupyter.framework.adapter import Snapshot
from detjupyter.framework.framework import framework_if_known
from detjupyter.next_step import NextStep
from detjupyter.protocol.commands import UseCode
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.protocol.wire import encode
from detjupyter.store.code import Code, CodeStore
from detjupyter.store.location import create_directory

CODE = "code"
LOAD_DATA = "load_data.json"
METADATA = "metadata.json"


CODE_LIMIT_S = 60.0
"""How long a checkpoint waits until the code archive of the run is stored; after that it is written without code."""


class KeptCode:
    """The code archive of a run, which the session stores in the background, and the newest checkpoint that contains it.

    Thread: any.
    """

    def __init__(self) -> None:
        self.newest: Path | None = None
        """The newest checkpoint with this code; the next one links to its files instead of writing them again."""
        self._is_known = threading.Event()
        self._use: UseCode | None = None

    def set(self, use: UseCode) -> None:
        """Set the location of the code archive, and wake the threads that wait for it."""
        self._use = use
        self._is_known.set()

    def wait(self, on_missing: Callable[[], object]) -> Code | None:
        """Wait for the code archive, and return it; None if the run has none.

        Args:
            on_missing: Called if the code archive is no longer in the store. The session must then store it again and call :meth:`set`.

        Raises:
            StoreError: The list of the archive's files cannot be read.
        """
        self._is_known.wait(CODE_LIMIT_S)
        use = self._use
        if use is None or use.bundle_hash is None:
            return None
        store = CodeStore(Path(use.home))
        if not store.has(use.bundle_hash):
            self._keep_again(on_missing)
        return store.code(use.bundle_hash, lambda: self._keep_again(on_missing))

    def _keep_again(self, on_missing: Callable[[], object]) -> None:
        self._is_known.clear()  # first: the session can answer during the next call
        on_missing()
        self._is_known.wait(CODE_LIMIT_S)


@dataclass(frozen=True, slots=True)
class Origin:
    """The facts about a trial that are needed to load its checkpoint without the session.

    Attributes:
        run_id: The run of the trial.
        entrypoint: The entrypoint of the trial's class.
        framework: The framework of the class.
        file: The name of the definition's only file, None if the definition is a directory.
        config: The configuration as it was read.
        hyperparameters: The values that the trial was built with.
        code: The code archive; None for a checkpoint without code.
    """

    run_id: str
    entrypoint: str
    framework: str
    file: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    code: KeptCode | None = None

    def load_data(self) -> str | None:
        """Return the content of ``load_data.json``, from which detjupyter and Determined build the trial; None for unknown frameworks."""
        framework = framework_if_known(self.framework)
        if framework is None:
            return None
        module, _, name = self.entrypoint.partition(":")
        data = {
            "trial_type": framework.trial_type,
            "experiment_config": encode(self.config),
            "hparams": encode(self.hyperparameters),
            # If the definition is a single file, the entrypoint names no module, but Determined requires one.
            "trial_cls_spec": f"{module or Path(self.file or '__init__.py').stem}:{name}",
            "is_trainer": True,
        }
        return json.dumps(data, indent=1)


@dataclass(frozen=True, slots=True)
class PendingCheckpoint:
    """A checkpoint whose state is copied and whose files are not written yet. Created by :func:`begin_checkpoint`."""

    directory: Path
    identity: str
    snapshot: Snapshot
    manifest: Manifest
    origin: Origin
    automatic: bool
    metric: float | None

    @property
    def needs_driver(self) -> bool:
        """Whether :meth:`write` must run in the engine's thread."""
        return self.snapshot.needs_driver

    def write(self, code_missing: Callable[[], object] = lambda: None, say: Callable[[str], object] = lambda _: None) -> CheckpointRecord:
        """Write the files. The directory gets its name only when it is complete.

        Args:
            code_missing: Called in this thread if the code archive is no longer in the code store. It must notify the session, which stores
                the archive again while this thread waits.
            say: Called in this thread with a warning.

        Raises:
            CheckpointError: The files cannot be written; all of them are removed again.

        Thread: any, unless :attr:`needs_driver`; one at a time for each run.
        """
        target, scratch = self.directory / self.identity, self.directory / partial_name(self.identity)
        try:
            sweep(self.directory)
            create_directory(scratch, exist_ok=False)  # no other user can read inside, regardless of the permissions of its files
            self.snapshot.write(scratch)
            self._describe(scratch)
            bundle_hash = self._write_code(scratch, code_missing)
            size_bytes = seal(scratch, replace(self.manifest, code=bundle_hash), partial(signature_for, say=say))
            scratch.rename(target)  # atomic: readers find no checkpoint or a complete one
            if bundle_hash is not None and self.origin.code is not None:
                self.origin.code.newest = target
            sync_directory(self.directory)  # else a power failure could undo the rename
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint after batch {self.manifest.batches_trained} could not be written: {error.strerror or error}.",
                path=str(target),
                hint=f"Training continues. Free some disk space, then save one with {NextStep.CHECKPOINT}.",
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

    def _write_code(self, scratch: Path, code_missing: Callable[[], object]) -> str | None:
        """Write the code archive; return its hash, None if there is none."""
        kept = self.origin.code
        try:
            code = None if kept is None else kept.wait(code_missing)
        except StoreError:  # the list of its files was deleted; a checkpoint without code is better than none
            code = None
        if kept is None or code is None:
            return None
        _write_files(code, scratch / CODE, kept.newest)
        return code.bundle_hash

    def _describe(self, scratch: Path) -> None:
        """Write ``load_data.json`` and ``metadata.json``. The latter also marks the checkpoint as ours, in case the manifest is lost."""
        load_data = self.origin.load_data()
        if load_data is None:
            return
        (scratch / LOAD_DATA).write_text(load_data, encoding="utf-8")
        metadata = scratch / METADATA
        if not metadata.exists():  # the framework's snapshot may have written it
            facts = {"framework": self.origin.framework, "steps_completed": self.manifest.batches_trained, WRITTEN_BY_US: True}
            metadata.write_text(json.dumps(facts), encoding="utf-8")


def begin_checkpoint(
    progress: TrainingProgress,
    directory: Path,
    origin: Origin,
    *,
    automatic: bool = False,
    metric: float | None = None,
) -> PendingCheckpoint:
    """Copy the present state of the trial, for a checkpoint in a new directory under ``directory``.

    Args:
        progress: The trial.
        directory: The directory for the checkpoints of the run.
        origin: The facts about the trial.
        automatic: Whether no command requested the checkpoint, so that it can be deleted later.
        metric: The value of the ranking metric for exactly these weights, None if it is unknown.

    Raises:
        CheckpointError: The state cannot be copied.
    """
    manifest = Manifest(
        run_id=origin.run_id,
        batches_trained=progress.batches_trained,
        records_trained=progress.records_trained,
        trial_class=type(progress.adapter.trial).__qualname__,
        entrypoint=origin.entrypoint,
        framework=origin.framework,
        file=origin.file,
    )
    # The random part: several checkpoints of a run can be of the same batch.
    identity = f"{origin.run_id}-{progress.batches_trained:08d}-{secrets.token_hex(2)}"
    snapshot = progress.adapter.snapshot(progress.batches_trained)
    return PendingCheckpoint(directory, identity, snapshot, manifest, origin, automatic, metric)


def _write_files(code: Code, target: Path, earlier: Path | None) -> None:
    """Write the files of the code archive into ``target``. If an earlier checkpoint has the same code, hard links replace copies."""
    target.mkdir()
    executable = {version.path for version in code.versions if version.executable}
    for path in code:
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if earlier is not None:
            with suppress(OSError):  # the earlier checkpoint was deleted, or the file system has no hard links
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
