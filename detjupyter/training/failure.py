"""What went wrong in the user's code while it trained, as a short error that holds none of their frames."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from detjupyter.definition.isolation.names import public_text
from detjupyter.definition.user_errors import trial_error, user_frames
from detjupyter.errors import DetJupyterError, TrialError
from detjupyter.protocol.records import ErrorRecord


def describe(error: BaseException, roots: Sequence[Path], doing: str) -> TrialError:
    """Return ``error`` as a :class:`TrialError` with the frames below ``roots`` as text.

    A mistake that one of our own errors explains (a missing hyperparameter, an optimizer that was not wrapped) keeps its message.

    Args:
        error: What ended the training, a validation or the preparation of the data.
        roots: Directories whose frames are the user's own.
        doing: What was going on, to follow "while".
    """
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # raised in a generator of ours, which Python turns into something that the user did not write
    if isinstance(error, DetJupyterError):
        told, written = (error.exception, error.user_traceback) if isinstance(error, TrialError) else ("", "")
        return TrialError(error.message, exception=told, user_traceback=written or frames_text(error, roots), hint=error.hint)
    if isinstance(error, KeyboardInterrupt):  # raised by the code itself: a person's interrupt reaches the main thread only
        message = f"KeyboardInterrupt in your code while {doing}."
        return TrialError(message, exception="KeyboardInterrupt", user_traceback=frames_text(error, roots))
    return trial_error(error, roots, doing)


def error_record(error: TrialError) -> ErrorRecord:
    """Return ``error`` as views and the history show it."""
    if error.user_traceback and error.exception:
        return ErrorRecord(error.exception.partition(":")[0], error.exception, error.user_traceback, error.hint)
    return ErrorRecord(type(error).__name__, f"{error.message} {error.exception}".strip(), error.user_traceback, error.hint)


def frames_text(error: BaseException, roots: Sequence[Path]) -> str:
    """Return the user's frames of ``error`` in Python's own form, empty if there are none."""
    frames = user_frames(error, roots)
    return public_text("Traceback (most recent call last):\n" + "".join(traceback.format_list(frames))) if frames else ""
