"""A copy of a trial's state, so that the training can continue while the state is written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from detjupyter.definition.isolation.saved_names import pickle_for_saving
from detjupyter.engine.checkpoints.determined import WRITTEN_BY_US
from detjupyter.errors import CheckpointError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.state import HostMemory, copied
from detjupyter.pytorch.checkpoints.trial_state import OUR_KEY

STATE_FILE = "state_dict.pth"


def take_snapshot(state: dict[str, Any], callbacks: Callbacks, memory: HostMemory | None = None) -> StateSnapshot:
    """Return a copy of ``state`` on the host.

    Args:
        state: The state that :func:`detjupyter.pytorch.checkpoints.trial_state.gather` returned, with ``rng_state`` added.
        callbacks: The trial's callbacks.
        memory: The memory for the copy, which later copies reuse; by default newly allocated memory.

    Raises:
        CheckpointError: A value in the state cannot be copied.
    """
    memory = HostMemory() if memory is None else memory
    return StateSnapshot(*copied(state, memory), callbacks, memory)


class StateSnapshot:
    """A copied state, which can be written once. Created by :func:`take_snapshot`.

    Attributes:
        needs_driver: Whether callbacks use the files, so that the engine's thread must write them.
    """

    def __init__(self, state: dict[str, Any], region: torch.Tensor, callbacks: Callbacks, memory: HostMemory) -> None:
        self.needs_driver = callbacks.overrides("on_checkpoint_end") or callbacks.overrides("on_checkpoint_write_end")
        self._state = state
        self._region = region
        self._callbacks = callbacks
        self._memory = memory

    def write(self, directory: Path) -> None:
        """Write ``state_dict.pth`` and ``metadata.json`` in Determined's layout, and release the copy.

        Raises:
            CheckpointError: A value in the state cannot be saved.
            OSError: Writing failed, for example because the disk is full.
        """
        steps_completed = self._state.get(OUR_KEY, {}).get("batches_trained", 0)
        try:
            self._write_state(directory / STATE_FILE)
        finally:
            self._state = {}  # its tensors are views of the memory that the next copy overwrites
            self._memory.give_back(self._region)
        metadata = {
            "framework": f"torch-{torch.__version__}",
            "format": "pickle",
            "steps_completed": steps_completed,
            WRITTEN_BY_US: True,
        }
        (directory / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        self._callbacks.on_checkpoint_written(str(directory))

    def _write_state(self, target: Path) -> None:
        try:
            # Into a Python file object: torch then writes without the interpreter's lock. Given a path, torch 2.13 holds it for 0.2 s/GB.
            with target.open("wb") as file:
                torch.save(self._state, file, pickle_module=pickle_for_saving())
        except RuntimeError as error:
            cause = _cause_on_disk(error)
            if cause is None:
                raise
            raise cause from None
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CheckpointError(f"The trial's state cannot be saved: {error}.", hint="State holds tensors, numbers and text.") from None


def _cause_on_disk(error: BaseException) -> OSError | None:
    """Return the OSError that made torch's writer raise ``error``, None if it has another cause."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause
