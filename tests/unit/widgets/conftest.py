"""Sessions and curves to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detjupyter.protocol.records import BestRecord, SeriesPatch, SessionRecord
from detjupyter.protocol.states import Activity, Group, State


@pytest.fixture
def make_session() -> Callable[..., SessionRecord]:
    """Return a maker of sessions that finished, with any field changed."""

    def make(**changes: Any) -> SessionRecord:
        fields: dict[str, Any] = {
            "session_id": "s1",
            "run_id": "r1",
            "entrypoint": "model_def:DigitsTrial",
            "definition": "quickstart",
            "definition_root": "/there/quickstart",
            "framework": "pytorch",
            "device": "cpu",
            "state": State.FINISHED,
            "activity": Activity.IDLE,
            "batches_trained": 875,
            "records_trained": 28_000,
            "batches_per_epoch": 175,
            "plan_start_batches": 0,
            "plan_target_batches": 875,
            "validation_done": None,
            "validation_total": None,
            "batches_per_second": 60.0,
            "records_per_second": 1920.0,
            "elapsed_s": 23.4,
            "eta_s": None,
            "latest": {"training": {"loss": 0.0312}, "validation": {"val_loss": 0.0456, "accuracy": 0.9815}},
            "best": BestRecord("accuracy", 0.9815, 875, smaller_is_better=False),
        }
        return SessionRecord(**(fields | changes))

    return make


@pytest.fixture
def make_curve() -> Callable[..., SeriesPatch]:
    """Return a maker of noisy falling curves of ``n`` points, the same for the same arguments."""

    def make(name: str = "loss", group: Group = Group.TRAINING, n: int = 875, seed: int = 0) -> SeriesPatch:
        batches = np.arange(1, n + 1, dtype=np.float64)
        noise = np.random.default_rng(seed).random(n)
        return SeriesPatch(group, name, 0, batches, 2.3 * np.exp(-batches / n * 4) + 0.3 * noise)

    return make
