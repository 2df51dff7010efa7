"""What was loaded, and the records that begin with it: the session before its first batch, the run before its first flush."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detjupyter.definition.config import Config
from detjupyter.definition.file_watch import UsageWatch
from detjupyter.definition.model_definition import ModelDefinition
from detjupyter.definition.resolution import LoadedClass
from detjupyter.protocol.records import RunRecord, SessionRecord
from detjupyter.training.adapter import TrialAdapter


@dataclass(frozen=True, slots=True)
class Loaded:
    """A definition, the class that its entrypoint names, the values it was built with, and the trial in its adapter.

    ``usage`` hears which of its files the trial opens; ``notes`` are sentences that were worth saying at the load. Relative paths of the
    trial start at ``working_directory``, None for the definition's root.
    """

    definition: ModelDefinition
    trial_class: LoadedClass
    config: Config
    adapter: TrialAdapter
    seed: int
    usage: UsageWatch
    notes: tuple[str, ...] = ()
    working_directory: Path | None = None

    @property
    def roots(self) -> list[Path]:
        """The directories whose frames are the user's own; relative paths start at the first."""
        root = self.definition.root
        return [root] if self.working_directory is None else [self.working_directory, root]

    @property
    def loaded_at(self) -> float:
        """When its code was read, in seconds since the epoch."""
        return self.trial_class.scope.loaded_at

    def release(self) -> None:
        """Give up the data loaders, the modules and the listening; the trial itself stays usable."""
        self.adapter.release()
        self.trial_class.scope.release()
        self.usage.close()


def session_record(session_id: str, loaded: Loaded) -> SessionRecord:
    """Return the session before anything was trained."""
    return SessionRecord(
        session_id=session_id,
        run_id=None,
        entrypoint=str(loaded.trial_class.entrypoint),
        definition=loaded.definition.name,
        definition_root=str(loaded.definition.root),
        framework=loaded.trial_class.trial_class.framework,
        device=loaded.adapter.device,
    )


def run_record(session: SessionRecord, loaded: Loaded, *, bundle_hash: str, kernel_id: str | None) -> RunRecord:
    """Return a new run of this process for ``session``."""
    config = loaded.config
    return new_run(
        session,
        new_run_id(),
        seed=loaded.seed,
        hyperparameters=config.hyperparameters,
        config=config.raw,
        bundle_hash=bundle_hash,
        kernel_id=kernel_id,
    )


def new_run_id() -> str:
    """Return an id that begins with the time, so that ids sort as runs do."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"


def new_run(
    session: SessionRecord,
    run_id: str,
    *,
    seed: int,
    hyperparameters: Mapping[str, Any],
    config: Mapping[str, Any],
    bundle_hash: str,
    kernel_id: str | None,
) -> RunRecord:
    """Return a run of this process that begins now, in the state of ``session``."""
    now = time.time()
    return RunRecord(
        id=run_id,
        state=session.state,
        entrypoint=session.entrypoint,
        definition=session.definition,
        definition_root=session.definition_root,
        framework=session.framework,
        device=session.device,
        seed=seed,
        hyperparameters=dict(hyperparameters),
        config=dict(config),
        bundle_hash=bundle_hash,
        kernel_id=kernel_id,
        host=platform.node(),
        pid=os.getpid(),
        created_at=now,
        updated_at=now,
        ended_at=None,
        batches_trained=session.batches_trained,
        best=None,
        session=session,
    )
