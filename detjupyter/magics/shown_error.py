"""The error of a cell whose output already shows the training that failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from detjupyter.errors import TrialError


@contextmanager
def shown_in_output(shell: Any) -> Iterator[None]:
    """Shorten the error of a training to its message: the frames are in the live view, and in the picture that takes its place.

    A terminal has neither. The text of the error remains complete, for programs that run notebooks and print it.

    Args:
        shell: The IPython shell of the cell.
    """
    try:
        yield
    except TrialError as error:
        if getattr(shell, "kernel", None) is None or not error.user_traceback:
            raise
        short = copy(error)  # another cell can show the original, too
        short.is_shown_above = True
        raise short.with_traceback(None) from None
