"""The initial record of a run, before its first flush."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from typing import Any

from detjupyter.protocol.records import RunRecord, SessionRecord
from detjupyter.session.kernel import Kernel


def new_run(
    session: SessionRecord,
    run_id: str,
    *,
    seed: int,
    hyperparameters: Mapping[str, Any],
    config: Mapping[str, Any],
    bundle_hash: str,
    kernel: Kernel,
) -> RunRecord:
    """Return a new run of this process, in the state of ``session``."""
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
        kernel_id=kernel.id,
        notebook=kernel.notebook(),
        host=platform.node(),
        pid=os.getpid(),
        created_at=now,
        updated_at=now,
        ended_at=None,
        batches_trained=session.batches_trained,
        best=None,
        session=session,
    )
