"""Checkpoints that Determined wrote: how to tell them, and how far their trials were."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.errors import CheckpointError
from detjupyter.training.checkpoints.files import MANIFEST

OURS = "detjupyter"
"""The key of ``metadata.json`` by which a checkpoint of ours is told, should its manifest be lost."""

_STATES = ("state_dict.pth", "determined/state_dict.pth", "pedl/state_dict.pth", "checkpoint.pt")
_MARKS = ("load_data.json", "metadata.json", "trial_state.pkl", "workload_sequencer.pkl", *_STATES)
# Where each version says it, the newest first: 0.21 and later, 0.17 to 0.20.
_PICKLED_STEPS = (("trial_state.pkl", "batches_trained"), ("workload_sequencer.pkl", "steps_completed"))


def is_foreign(directory: Path) -> bool:
    """Return whether a directory holds a checkpoint that is not ours.

    Raises:
        CheckpointError: It is ours and has lost its manifest.
    """
    if (directory / MANIFEST).is_file() or not any((directory / mark).exists() for mark in _MARKS):
        return False
    if OURS in metadata_of(directory):
        raise CheckpointError(
            f"The checkpoint is torn: {MANIFEST} is missing.", path=str(directory), hint="Restore another one of its run."
        )
    return True


def metadata_of(directory: Path) -> Mapping[str, Any]:
    """Return what ``metadata.json`` says; nothing if it is not there or not readable."""
    return _json(directory / "metadata.json")


def load_data_of(directory: Path) -> Mapping[str, Any]:
    """Return what the trial was built from: of ``load_data.json``, before 0.17.7 of ``metadata.json``."""
    return _json(directory / "load_data.json") or metadata_of(directory)


def progress(directory: Path) -> tuple[int, int]:
    """Return how many batches, and about how many records, a foreign checkpoint's trial was trained on; 0 where it does not tell."""
    batches = _whole(metadata_of(directory).get("steps_completed"))
    for name, key in _PICKLED_STEPS:
        if batches is None:
            batches = _whole(_plain_pickle(directory / name).get(key))
    hyperparameters = load_data_of(directory).get("hparams")
    size = _whole(hyperparameters.get("global_batch_size")) if isinstance(hyperparameters, Mapping) else None
    return batches or 0, (batches or 0) * (size or 0)


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, Mapping) else {}


class _PlainUnpickler(pickle.Unpickler):
    """Reads dicts, numbers and text; whatever names a class or a function is refused, so that nothing is run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name}")


def _plain_pickle(path: Path) -> Mapping[str, Any]:
    try:
        data = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception:  # a torn or hostile pickle raises anything
        return {}
    return data if isinstance(data, Mapping) else {}
