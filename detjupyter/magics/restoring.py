"""Restores a checkpoint for a magic, which can ask the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detjupyter.errors import UntrustedCheckpointError
from detjupyter.magics.asking import ask, say
from detjupyter.magics.interruption import interruptible

if TYPE_CHECKING:
    from detjupyter.protocol.records import CheckpointRecord
    from detjupyter.session.session import Session


def restore(session: Session, checkpoint: CheckpointRecord | str, *, trust: bool = False) -> None:
    """Restore a checkpoint and say which one it is; ask before reading objects of any class.

    Raises:
        CheckpointError: The checkpoint cannot be restored, or is not trusted.
    """

    def once(*, trust: bool) -> Path:
        with interruptible("the checkpoint is still being restored in the background."):
            return session.restore(checkpoint, trust=trust)

    try:
        restored = once(trust=trust)
    except UntrustedCheckpointError as error:
        if not ask(f"{error.message} Trust it?"):
            raise
        restored = once(trust=True)
    say(f"Restored {restored.name}.")
