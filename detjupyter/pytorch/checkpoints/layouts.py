"""Reading the states of PyTorch trials, as detjupyter and every Determined since 0.12 have written them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detjupyter.errors import CheckpointError, UntrustedCheckpointError
from detjupyter.pytorch.checkpoints.snapshot import STATE_FILE
from detjupyter.pytorch.checkpoints.trial_state import OURS
from detjupyter.training.checkpoints.foreign import progress

_PLACES = (STATE_FILE, f"determined/{STATE_FILE}", f"pedl/{STATE_FILE}", "checkpoint.pt")
# The keys of one model, before 0.12.13, and of several since.
_PLURAL = {
    "model_state_dict": "models_state_dict",
    "optimizer_state_dict": "optimizers_state_dict",
    "lr_scheduler": "lr_schedulers_state_dict",
}
_NEEDED = ("models_state_dict", "optimizers_state_dict")


def read_state(directory: Path, *, trust: bool = False) -> dict[str, Any]:
    """Return the state in ``directory``, its tensors on the host, under the keys of today.

    Args:
        directory: The checkpoint.
        trust: Whether objects of any class may be unpickled, which can run any code. Older checkpoints hold some.

    Raises:
        CheckpointError: There is no state, or it cannot be read.
        UntrustedCheckpointError: It needs trust.
    """
    file = find_state(directory)
    state = _read(file, trust=trust)
    for old, new in _PLURAL.items():
        if old in state:
            one = state.pop(old)
            state.setdefault(new, [] if one is None else [one])
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise CheckpointError(f"{file.name} lacks {', '.join(missing)}.", path=str(directory))
    if OURS not in state:  # Determined keeps the place in the data by the number of batches alone, beside the state
        state[OURS] = {"batches_trained": progress(directory)[0]}
    return state


def find_state(directory: Path) -> Path:
    """Return the file with the state of a checkpoint, wherever the version that wrote it has put it.

    Raises:
        CheckpointError: There is none.
    """
    for place in _PLACES:
        if (directory / place).is_file():
            return directory / place
    raise CheckpointError(
        f"There is no {STATE_FILE} in the checkpoint.", path=str(directory), hint="Name the directory that holds that file."
    )


def _read(file: Path, *, trust: bool) -> dict[str, Any]:
    try:
        with _numpy_allowed():
            state = torch.load(file, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        if trust or not _is_whole(file):
            raise _unreadable(file, error) from None
        raise UntrustedCheckpointError(
            f"{file.name} holds more than tensors, numbers and text, and reading that may run any code.",
            path=str(file.parent),
            hint="If you trust where it comes from: `%det_restore … --trust`, or trust=True in Python.",
        ) from None
    except Exception as error:  # pickle, zip and torch each raise their own
        raise _unreadable(file, error) from None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{file.name} holds a {type(state).__name__}, not the state of a trial.", path=str(file.parent))
    return dict(state)


@contextmanager
def _numpy_allowed() -> Iterator[None]:
    """Let arrays of numbers through without trust: Determined's random states hold one, and making one runs nothing."""
    can_allow = torch.__version__ >= (2, 6)  # type: ignore[operator]  # a version of torch's own, which compares with tuples
    with torch.serialization.safe_globals(_numpy_globals()) if can_allow else nullcontext():
        yield


def _numpy_globals() -> list[Any]:
    rebuild = np.empty(0).__reduce__()[0]  # numpy's own, which is nowhere public
    numbers = (np.uint8, np.uint32, np.int64, np.float32, np.float64, np.bool_)
    # The same under its names of numpy 1 and 2: a file says the name that it was written under.
    names = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]
    return [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in numbers), *((rebuild, name) for name in names)]


def _is_whole(file: Path) -> bool:
    """Return whether it is torch's archive, or begins as torch's files did before 1.6."""
    with file.open("rb") as opened:
        return zipfile.is_zipfile(file) or opened.read(2) == b"\x80\x02"


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{file.name} cannot be read: {type(error).__name__}: {error}", path=str(file.parent))
