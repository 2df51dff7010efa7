"""Restores a trial from a checkpoint, of detjupyter or of Determined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detjupyter.engine.checkpoints.determined import is_foreign, load_data_of, progress_of
from detjupyter.engine.checkpoints.manifest import read_manifest, resolved, verify
from detjupyter.engine.checkpoints.signature import not_yours, why_foreign
from detjupyter.engine.progress import TrainingProgress
from detjupyter.errors import CheckpointError, UntrustedCheckpointError
from detjupyter.next_step import NextStep
from detjupyter.protocol.wire import encode

_NAMED = 4


def restore_checkpoint(progress: TrainingProgress, directory: Path, *, trust: bool = False) -> str | None:
    """Restore the trial from a checkpoint; return the id of the run that saved it, None for a checkpoint that Determined wrote.

    Args:
        progress: The trial.
        directory: The checkpoint.
        trust: Whether to unpickle objects of any class, which can execute arbitrary code.

    Raises:
        CheckpointError: There is no complete checkpoint, it is damaged or cannot be read, or it belongs to another class.
    """
    try:
        return _restore(progress, directory, trust=trust)
    except OSError as error:  # another process has deleted or locked it during the reading
        raise CheckpointError(f"The checkpoint cannot be read: {error.strerror or error}.", path=str(directory)) from None


def _restore(progress: TrainingProgress, directory: Path, *, trust: bool) -> str | None:
    directory = resolved(directory)
    run_id = doubt = None
    if is_foreign(directory):
        batches_trained, records_trained = progress_of(directory)
    else:
        manifest = read_manifest(directory)
        mine = type(progress.adapter.trial).__qualname__
        if manifest.trial_class != mine:
            raise CheckpointError(f"This is a checkpoint of {manifest.trial_class}, but {mine} is loaded.", path=str(directory))
        verify(directory, manifest)
        doubt = why_foreign(directory, manifest)
        trust = trust or doubt is None
        run_id, batches_trained, records_trained = manifest.run_id, manifest.batches_trained, manifest.records_trained
    try:
        progress.adapter.restore(directory, trust=trust)
    except UntrustedCheckpointError as error:
        if doubt is None:
            raise
        raise UntrustedCheckpointError(f"{error.message} {not_yours(doubt)}", path=error.path, hint=error.hint) from None
    progress.move_to(batches_trained, records_trained)
    return run_id


def other_hyperparameters(directory: Path, hyperparameters: Mapping[str, Any]) -> str | None:
    """Return a notice if a checkpoint was trained with other values than ``hyperparameters``; None if not, or if that is unknown.

    The states of optimizers and schedulers contain their settings, so a new value is without effect there.
    """
    before, now = load_data_of(resolved(directory)).get("hparams"), encode(dict(hyperparameters))
    if not isinstance(before, Mapping):
        return None
    changed = [f"{name}: {before.get(name)!r} → {now.get(name)!r}" for name in {**before, **now} if before.get(name) != now.get(name)]
    if not changed:
        return None
    more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return (
        f"The checkpoint was trained with other hyperparameters ({', '.join(changed[:_NAMED])}{more}). Optimizers and schedulers keep the "
        f"settings of the checkpoint. To change these, edit the definition or its config, then {NextStep.RELOAD}."
    )
