"""The state of a trial, copied so that the training can go on while it is written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from detjupyter.errors import CheckpointError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.checkpoints.state import HostMemory, copied
from detjupyter.pytorch.checkpoints.trial_state import OURS
from detjupyter.training.checkpoints.foreign import OURS as WRITTEN_BY_US

STATE_FILE = "state_dict.pth"


def take_snapshot(state: dict[str, Any], callbacks: Callbacks, memory: HostMemory | None = None) -> StateSnapshot:
    """Return a copy of ``state`` on the host.

    Args:
        state: What :func:`detjupyter.pytorch.checkpoints.trial_state.gather` gives, with ``rng_state``.
        callbacks: The trial's.
        memory: Where the copy goes; by default memory that is used once.
    """
    memory = HostMemory() if memory is None else memory
    return StateSnapshot(*copied(state, memory), callbacks, memory)


class StateSnapshot:
    """A state that nothing changes any more, to be written once. Made by :func:`take_snapshot`.

    Attributes:
        needs_driver: Whether callbacks look at the files.
    """

    def __init__(self, state: dict[str, Any], region: torch.Tensor, callbacks: Callbacks, memory: HostMemory) -> None:
        self.needs_driver = callbacks.overrides("on_checkpoint_end") or callbacks.overrides("on_checkpoint_write_end")
        self._state = state
        self._region = region
        self._callbacks = callbacks
        self._memory = memory

    def write(self, directory: Path) -> None:
        """Write ``state_dict.pth`` and ``metadata.json``, in Determined's layout; the copy is given up with that.

        Raises:
            CheckpointError: Something in the state cannot be saved.
            OSError: The disk does not take it.
        """
        steps_completed = self._state.get(OURS, {}).get("batches_trained", 0)
        try:
            self._write_state(directory / STATE_FILE)
        finally:
            self._state = {}
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
            # Into a file of Python's: torch then leaves the interpreter to the training; with a path (2.13) it does not for 0.2 s/GB.
            with target.open("wb") as file:
                torch.save(self._state, file)
        except RuntimeError as error:
            full = _cause_on_disk(error)
            if full is None:
                raise
            raise full from None
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CheckpointError(f"The trial's state cannot be saved: {error}.", hint="State holds tensors, numbers and text.") from None


def _cause_on_disk(error: BaseException) -> OSError | None:
    """Return the system's error that torch's writer raised ``error`` for, None if it is about something else."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause
