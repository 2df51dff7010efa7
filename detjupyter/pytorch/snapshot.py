"""The state of a trial, copied so that the training can go on while it is written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch

from detjupyter.errors import CheckpointError
from detjupyter.pytorch.callbacks import Callbacks
from detjupyter.pytorch.trial_state import copied_to_host

STATE_FILE = "state_dict.pth"


def take_snapshot(state: dict[str, Any], callbacks: Callbacks) -> StateSnapshot:
    """Return a copy of ``state`` on the host."""
    return StateSnapshot(copied_to_host(state), callbacks)


class StateSnapshot:
    """A state that nothing changes any more. Made by :func:`take_snapshot`."""

    def __init__(self, state: dict[str, Any], callbacks: Callbacks) -> None:
        self._state = state
        self._callbacks = callbacks
        self.needs_driver = callbacks.overrides("on_checkpoint_end") or callbacks.overrides("on_checkpoint_write_end")
        """Whether callbacks look at the files."""

    def write(self, directory: Path) -> None:
        """Write ``state_dict.pth`` and ``metadata.json``, in Determined's layout.

        Raises:
            CheckpointError: Something in the state cannot be saved.
            OSError: The disk does not take it.
        """
        try:
            with (directory / STATE_FILE).open("wb") as file:
                torch.save(self._state, file)
        except RuntimeError as error:
            full = _cause_on_disk(error)
            if full is None:
                raise
            raise full from None
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CheckpointError(f"The trial's state cannot be saved: {error}.", hint="State holds tensors, numbers and text.") from None
        metadata = {"framework": f"torch-{torch.__version__}", "format": "pickle"}
        (directory / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        self._callbacks.on_checkpoint_written(str(directory))


def _cause_on_disk(error: BaseException) -> OSError | None:
    """Return the system's error that torch's writer raised ``error`` for, None if it is about something else."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause
