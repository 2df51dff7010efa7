"""Whether the result of a magic is what its cell shows."""

from __future__ import annotations

import dis
import sys
from typing import Any

# What follows the call of an expression statement whose value is shown: in Python 3.11, and since 3.12.
_SHOWS = ("PRINT_EXPR", "CALL_INTRINSIC_1")


def is_shown(shell: Any) -> bool:
    """Return whether the cell shows the result of the magic that is running: the magic is the last line, and nothing uses its result."""
    frame = sys._getframe()
    while frame is not None and frame.f_globals is not shell.user_ns:
        frame = frame.f_back  # type: ignore[assignment]  # None is the end
    if frame is None:
        return False
    following = (one for one in dis.get_instructions(frame.f_code) if one.offset > frame.f_lasti)
    return next(following).opname in _SHOWS
