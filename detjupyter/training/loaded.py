"""What was loaded, and the records that tell of it: the card, the session before its first batch, the run before its first flush."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detjupyter.definition.config import Config
from detjupyter.definition.model_definition import LoadedClass, ModelDefinition
from detjupyter.protocol.records import CardRecord, HyperparameterRecord, RunRecord, SessionRecord
from detjupyter.protocol.states import Activity, State
from detjupyter.training.adapter import TrialAdapter


@dataclass(frozen=True, slots=True)
class Loaded:
    """A definition, the class that its entrypoint names, the values it was built with, and the trial in its adapter."""

    definition: ModelDefinition
    trial_class: LoadedClass
    config: Config
    adapter: TrialAdapter
    seed: int


def card_of(loaded: Loaded) -> CardRecord:
    """Return the card of what was loaded; this reads the files that would ship, as they are now."""
    report = loaded.definition.files()
    hparams = tuple(
        HyperparameterRecord(name, _look_up(loaded.config.hyperparameters, name), origin) for name, origin in loaded.config.origins.items()
    )
    return CardRecord(
        entrypoint=str(loaded.trial_class.entrypoint),
        definition=loaded.definition.name,
        definition_root=str(loaded.definition.root),
        class_name=loaded.trial_class.trial_class.__name__,
        framework=loaded.trial_class.trial_class.framework,
        file=str(loaded.trial_class.file),
        line=loaded.trial_class.line,
        device=loaded.adapter.device,
        seed=loaded.seed,
        config_path=loaded.config.path,
        hyperparameters=hparams,
        included_files=len(report.included),
        included_bytes=report.total_bytes,
        excluded_entries=len(report.excluded),
        limit_bytes=report.limit_bytes,
        bundle_hash=report.hash,
    )


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
        state=State.READY,
        activity=Activity.IDLE,
        batches_trained=0,
        records_trained=0,
        batches_per_epoch=None,
        plan_start_batches=None,
        plan_target_batches=None,
        validation_done=None,
        validation_total=None,
        batches_per_second=None,
        records_per_second=None,
        elapsed_s=0.0,
        eta_s=None,
    )


def run_record(session: SessionRecord, loaded: Loaded, *, bundle_hash: str, kernel_id: str | None) -> RunRecord:
    """Return a new run of this process for ``session``; its id begins with the time, so that ids sort as runs do."""
    now = time.time()
    config = loaded.config
    return RunRecord(
        id=f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(3)}",
        state=session.state,
        entrypoint=session.entrypoint,
        definition=session.definition,
        definition_root=session.definition_root,
        framework=session.framework,
        device=session.device,
        seed=loaded.seed,
        hyperparameters=dict(config.hyperparameters),
        config=dict(config.raw),
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


def _look_up(hparams: Mapping[str, Any], dotted: str) -> Any:
    value: Any = hparams
    for part in dotted.split("."):
        value = value[part]
    return value
