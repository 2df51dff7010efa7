"""The ids of runs."""

from __future__ import annotations

import secrets
import time


def new_run_id() -> str:
    """Return an id that begins with the time, so that ids sort like runs."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
