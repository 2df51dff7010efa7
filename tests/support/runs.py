"""Runs to write into a history."""

from __future__ import annotations

import math
import os
import socket
import time
from dataclasses import replace
from typing import Any

import numpy as np

from detjupyter.protocol.records import BestRecord, ErrorRecord, RunRecord, SessionRecord
from detjupyter.protocol.states import Activity, State
from detjupyter.store import Store


def make_session(**changes: Any) -> SessionRecord:
    """Return a session with something in every kind of field."""
    session = SessionRecord(
        session_id="s1",
        run_id="r1",
        entrypoint="model_def:Trial",
        definition="digits",
        definition_root="/there/digits",
        framework="pytorch",
        device="cpu",
        state=State.RUNNING,
        activity=Activity.TRAINING,
        batches_trained=7,
        records_trained=448,
        batches_per_epoch=20,
        plan_start_batches=0,
        plan_target_batches=100,
        validation_done=None,
        validation_total=None,
        batches_per_second=12.5,
        records_per_second=math.inf,
        elapsed_s=0.5,
        eta_s=None,
        latest={"training": {"loss": 0.25}},
        best=BestRecord("accuracy", 0.5, 7, smaller_is_better=False),
        error=ErrorRecord("ValueError", "no", "line 1\nline 2"),
    )
    return replace(session, **changes)


def make_run(run_id: str = "r1", **changes: Any) -> RunRecord:
    """Return a live run of this process, with awkward values in it."""
    run = RunRecord(
        id=run_id,
        state=State.RUNNING,
        entrypoint="model_def:Trial",
        definition="digits",
        definition_root="/there/digits",
        framework="pytorch",
        device="cpu",
        seed=2**64 - 1,
        hyperparameters={"lr": 0.1, "layers": [1, 2], "nested": {"name": "ü'\"; DROP TABLE runs; --"}},
        config={"searcher": {"metric": "accuracy"}},
        bundle_hash="ab" * 32,
        kernel_id=None,
        host=socket.gethostname(),
        pid=os.getpid(),
        created_at=1000.0,
        updated_at=time.time(),
        ended_at=None,
        batches_trained=0,
        best=None,
        session=make_session(),
    )
    return replace(run, **changes)


def ready_run(run_id: str) -> RunRecord:
    """Return a run of this process that is not live."""
    return make_run(run_id, state=State.READY, session=None)


def finish(store: Store, run_id: str, state: State = State.FINISHED) -> None:
    """End the run in ``state``."""
    store.update_run(run_id, state=state, session=None, best=None, batches_trained=1, ended_at=time.time())


def points(first: int, count: int, factor: float = 1.0) -> tuple[Any, Any]:
    """Return ``count`` points from batch ``first`` on, each value ``factor`` times its batch."""
    batches = np.arange(first, first + count, dtype=np.int64)
    return batches, batches * factor
