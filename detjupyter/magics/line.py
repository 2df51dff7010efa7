"""One line of output that is updated in place."""

from __future__ import annotations

import sys
from typing import Any


class Line:
    """One line that is updated: by display id in a notebook, by carriage return in a terminal. A file only gets its last text."""

    def __init__(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        shell: Any = get_ipython()
        self._handle: Any = None
        if getattr(shell, "kernel", None) is not None:
            self._handle = display({"text/plain": ""}, raw=True, display_id=True)
        self._width = 0

    def show(self, text: str) -> None:
        """Replace the line with ``text``."""
        text = _printable(text)
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        elif sys.stdout.isatty():
            self._write(text, "")

    def end(self, text: str) -> None:
        """Replace the line with its final text."""
        text = _printable(text)
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        else:
            self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        sys.stdout.write(f"\r{text:<{self._width}}{end}" if self._width else f"{text}{end}")
        sys.stdout.flush()
        self._width = len(text)


def _printable(text: str) -> str:
    from detjupyter.text import printable  # imported here, because loading the extension imports this module

    return printable(text)
