"""Recognizes checkpoints that Determined wrote, and reads how far their trials were trained."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.engine.checkpoints.manifest import MANIFEST, is_count, require_complete
from detjupyter.errors import CheckpointError

WRITTEN_BY_US = "detjupyter"
"""The key in ``metadata.json`` that marks a checkpoint as detjupyter's, in case its manifest is lost."""

_STATES = ("state_dict.pth", "determined/state_dict.pth", "pedl/state_dict.pth", "checkpoint.pt")
_MARKS = ("load_data.json", "metadata.json", "trial_state.pkl", "workload_sequencer.pkl", *_STATES)
# The file and key with the number of batches, in versions 0.21 and later, and 0.17 to 0.20.
_PICKLED_STEPS = (("trial_state.pkl", "batches_trained"), ("workload_sequencer.pkl", "steps_completed"))


def is_foreign(directory: Path) -> bool:
    """Return whether a directory contains a checkpoint that Determined wrote.

    Raises:
        CheckpointError: The checkpoint is incomplete, or detjupyter wrote it and its manifest is missing.
    """
    require_complete(directory)
    if (directory / MANIFEST).is_file() or not any((directory / mark).exists() for mark in _MARKS):
        return False
    if WRITTEN_BY_US in metadata_of(directory):
        raise CheckpointError(
            f"The checkpoint is incomplete: {MANIFEST} is missing.", path=str(directory), hint="Restore another one of its run."
        )
    return True


def metadata_of(directory: Path) -> Mapping[str, Any]:
    """Return the content of ``metadata.json``, empty if it is missing or not readable."""
    return _json(directory / "metadata.json")


def load_data_of(directory: Path) -> Mapping[str, Any]:
    """Return the inputs for building the trial, from ``load_data.json``; before Determined 0.17.7 they are in ``metadata.json``."""
    return _json(directory / "load_data.json") or metadata_of(directory)


def progress_of(directory: Path) -> tuple[int, int]:
    """Return how many batches, and approximately how many records, the trial of Determined's checkpoint was trained on; 0 if unknown."""
    batches = _whole(metadata_of(directory).get("steps_completed"))
    for name, key in _PICKLED_STEPS:
        if batches is None:
            batches = _whole(_plain_pickle(directory / name).get(key))
    hyperparameters = load_data_of(directory).get("hparams")
    size = _whole(hyperparameters.get("global_batch_size")) if isinstance(hyperparameters, Mapping) else None
    return batches or 0, (batches or 0) * (size or 0)


def _whole(value: object) -> int | None:
    return value if is_count(value) else None


def _json(path: Path) -> Mapping[str, Any]:
    if not path.is_file():  # reading a pipe could wait forever
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, Mapping) else {}


class _PlainUnpickler(pickle.Unpickler):
    """Reads dicts, numbers and text. It refuses classes and functions, so that no code is executed."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name}")


def _plain_pickle(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception:  # a damaged or malicious pickle can raise anything
        return {}
    return data if isinstance(data, Mapping) else {}
