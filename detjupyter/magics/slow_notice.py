"""Show a message while something takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

NOTICE_AFTER_S = 1.0


@contextmanager
def notice_if_slow(doing: str) -> Iterator[None]:
    """Show ``doing`` if the block takes longer than a second, and its duration at the end."""
    from IPython.display import display

    from detjupyter.text import printable

    doing = printable(doing)
    began = time.monotonic()
    handle = None

    def show() -> None:
        nonlocal handle
        handle = display({"text/plain": f"{doing} …"}, raw=True, display_id=True)

    timer = threading.Timer(NOTICE_AFTER_S, show)
    timer.daemon = True
    timer.start()
    done = False
    try:
        yield
        done = True
    finally:
        timer.cancel()
        timer.join()  # it may be displaying now, and sets `handle` then
        if handle is not None:
            seconds = f"{time.monotonic() - began:.1f} s"
            text = f"{doing}: {seconds}" if done else f"{doing}: failed after {seconds}"
            handle.update({"text/plain": text}, raw=True)
