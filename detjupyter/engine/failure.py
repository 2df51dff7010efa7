"""Turns an exception of the user's code into a short error, with the user's frames as text instead of a traceback."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from detjupyter.definition.isolation.names import public_text
from detjupyter.definition.user_errors import trial_error, user_frames
from detjupyter.errors import DetJupyterError, TrialError
from detjupyter.protocol.answers import text_of
from detjupyter.protocol.records import ErrorRecord
from detjupyter.text import shortened

MAX_CHARACTERS = 20_000
"""The middle of a longer error message is left out, since records and views contain it."""

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"


def describe(error: BaseException, roots: Sequence[Path], doing: str) -> TrialError:
    """Return ``error`` as a :class:`TrialError`, with the frames below ``roots`` as text.

    One of detjupyter's own errors, such as a usage error or a missing hyperparameter, keeps its message.

    Args:
        error: The exception that ended the training, a validation or the preparation of the data.
        roots: The directories that contain the user's code.
        doing: The activity at that time, to follow "while".
    """
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # Python converts a StopIteration in our generators to a RuntimeError; the user's code raised the former
    if isinstance(error, DetJupyterError):
        exception, frames = (error.exception, error.user_traceback) if isinstance(error, TrialError) else ("", "")
        return TrialError(error.message, exception=exception, user_traceback=frames or frames_text(error, roots), hint=error.hint)
    if isinstance(error, KeyboardInterrupt):  # the code itself raised it: Python delivers the user's interrupt to the main thread only
        message = f"KeyboardInterrupt in your code while {doing}."
        return TrialError(message, exception="KeyboardInterrupt", user_traceback=frames_text(error, roots))
    failure = trial_error(error, roots, doing)
    failure.message, failure.exception = shortened(failure.message, MAX_CHARACTERS), shortened(failure.exception, MAX_CHARACTERS)
    failure.args = (failure.message,)
    failure.user_traceback = shortened(failure.user_traceback, MAX_CHARACTERS)
    return failure


def summary(error: BaseException) -> str:
    """Return ``error`` for a record: the message of one of detjupyter's errors, else class and text; shortened if it is very long."""
    text = error.message if isinstance(error, DetJupyterError) else f"{type(error).__name__}: {text_of(error)}"
    return shortened(text, MAX_CHARACTERS)


def error_record(error: TrialError) -> ErrorRecord:
    """Return ``error`` as a record for views and the history."""
    if error.user_traceback and error.exception:
        return ErrorRecord(error.exception.partition(":")[0], error.exception, error.user_traceback, error.hint)
    return ErrorRecord(type(error).__name__, f"{error.message} {error.exception}".strip(), error.user_traceback, error.hint)


def frames_text(error: BaseException, roots: Sequence[Path]) -> str:
    """Return the user's frames of ``error`` in the format of Python's tracebacks, empty if there are none."""
    frames = user_frames(error, roots)
    return public_text("Traceback (most recent call last):\n" + "".join(traceback.format_list(frames))) if frames else ""


def without_own_frames(error: BaseException) -> BaseException:
    """Return ``error`` with a traceback that begins at the first frame outside of this package; detjupyter's own errors have none.

    Otherwise the trial would stay in memory: the frames of an engine's thread refer to it, and a notebook keeps the traceback of its last
    error.
    """
    rest = None if isinstance(error, DetJupyterError) else error.__traceback__
    while rest is not None and rest.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        rest = rest.tb_next
    return error.with_traceback(rest)


def stack_text(frame: FrameType, roots: Sequence[Path]) -> str:
    """Return the present frames of a thread: the user's own, or the three innermost ones if there are none."""
    frames = traceback.extract_stack(frame)
    own = [entry for entry in frames if any(Path(entry.filename).is_relative_to(root) for root in roots)]
    return public_text("".join(traceback.format_list(own or list(frames)[-3:])))
