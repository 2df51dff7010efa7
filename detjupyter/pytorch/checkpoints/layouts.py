"""Reads the states of PyTorch trials, in the layouts of detjupyter and of all versions of Determined since 0.12."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detjupyter.definition.isolation.saved_names import pickle_for_reading
from detjupyter.engine.checkpoints.determined import progress_of
from detjupyter.errors import CheckpointError, UntrustedCheckpointError
from detjupyter.next_step import NextStep
from detjupyter.pytorch.checkpoints.snapshot import STATE_FILE
from detjupyter.pytorch.checkpoints.trial_state import OUR_KEY

_STATE_PATHS = (STATE_FILE, f"determined/{STATE_FILE}", f"pedl/{STATE_FILE}", "checkpoint.pt")
# The keys before 0.12.13, when a trial had only one model, and the keys since.
_PLURAL = {
    "model_state_dict": "models_state_dict",
    "optimizer_state_dict": "optimizers_state_dict",
    "lr_scheduler": "lr_schedulers_state_dict",
}
_REQUIRED = ("models_state_dict", "optimizers_state_dict")


def read_state(directory: Path, *, trust: bool = False, owner: object = None) -> dict[str, Any]:
    """Return the state in ``directory``, with its tensors on the host, and with the present names of the keys.

    Args:
        directory: The checkpoint.
        trust: Whether to unpickle objects of any class, which can execute arbitrary code. Older checkpoints contain such objects.

        owner: The trial, or its class: classes of a definition are those of its load.

    Raises:
        CheckpointError: The checkpoint contains no state, or it cannot be read.
        UntrustedCheckpointError: The state can be read only with ``trust``.
    """
    file = find_state(directory)
    state = _read(file, trust=trust, owner=owner)
    for old, new in _PLURAL.items():
        if old in state:
            single = state.pop(old)
            state.setdefault(new, [] if single is None else [single])
    missing = [name for name in _REQUIRED if name not in state]
    if missing:
        raise CheckpointError(f"{file.name} lacks {', '.join(missing)}.", path=str(directory))
    if OUR_KEY not in state:  # Determined stores only the number of batches, in another file
        state[OUR_KEY] = {"batches_trained": progress_of(directory)[0]}
    return state


def find_state(directory: Path) -> Path:
    """Return the file that contains the state of a checkpoint; its path depends on the version that wrote the checkpoint.

    Raises:
        CheckpointError: The directory has no such file.
    """
    for path in _STATE_PATHS:
        if (directory / path).is_file():
            return directory / path
    raise CheckpointError(
        f"There is no {STATE_FILE} in the checkpoint.", path=str(directory), hint="Name the directory that holds that file."
    )


def _read(file: Path, *, trust: bool, owner: object) -> dict[str, Any]:
    try:
        with _numpy_allowed():
            unpickling = {"pickle_module": pickle_for_reading(owner)} if trust else {}
            # On the host: this machine may lack the GPU of the checkpoint, and its memory holds the trial already.
            state = torch.load(file, map_location="cpu", weights_only=not trust, **unpickling)
    except pickle.UnpicklingError as error:
        if trust or not _is_readable_archive(file):
            raise _unreadable(file, error) from None
        raise UntrustedCheckpointError(
            f"{file.name} contains more than tensors, numbers and text, and reading it could execute arbitrary code.",
            path=str(file.parent),
            hint=f"If you trust where it comes from, restore it with {NextStep.TRUST}.",
        ) from None
    except Exception as error:  # pickle, zipfile and torch raise various classes for a damaged file
        raise _unreadable(file, error) from None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{file.name} contains a {type(state).__name__}, not the state of a trial.", path=str(file.parent))
    return dict(state)


@contextmanager
def _numpy_allowed() -> Iterator[None]:
    """Allow numeric arrays without trust: Determined's random states contain one, and creating one executes no code from the file."""
    can_allow = torch.__version__ >= (2, 6)  # type: ignore[operator]  # torch's version class compares with tuples
    with torch.serialization.safe_globals(_numpy_globals()) if can_allow else nullcontext():
        yield


def _numpy_globals() -> list[Any]:
    rebuild = np.empty(0).__reduce__()[0]  # numpy's function for unpickling arrays, which has no public name
    numbers = (np.uint8, np.uint32, np.int64, np.float32, np.float64, np.bool_)
    # A file contains the function's name in the numpy that wrote it: numpy.core in numpy 1, numpy._core in numpy 2.
    names = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]
    return [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in numbers), *((rebuild, name) for name in names)]


def _is_readable_archive(file: Path) -> bool:
    """Return whether ``file`` is an archive of torch, or begins like torch's files before 1.6. A truncated archive is neither."""
    with file.open("rb") as opened:
        return zipfile.is_zipfile(file) or opened.read(2) == b"\x80\x02"


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{file.name} cannot be read: {type(error).__name__}: {error}", path=str(file.parent))
