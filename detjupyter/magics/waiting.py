"""Block until a training has begun, or until it is over with one line of progress."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from detjupyter.errors import SessionError
from detjupyter.magics.interruption import Interrupted, interruptible
from detjupyter.widgets.summary import headline

if TYPE_CHECKING:
    from detjupyter.training.session import Session

REFRESH_S = 0.5
FIRST_BATCH_WITHIN_S = 0.4
_HOW_TO_GO_ON = "`%det_resume` goes on, `%det_stop` ends it."


def wait_for_first_batch(session: Session) -> None:
    """Give a training that has just begun the time to fail, a moment at most: a missing data set or a typo is then the cell's own error.

    Raises:
        TrialError: the trial's code raised.
    """
    trained, deadline = session.batches_trained, time.monotonic() + FIRST_BATCH_WITHIN_S
    while session.state == "running" and time.monotonic() < deadline:
        if session.batches_trained > trained:
            return
        time.sleep(0.01)
    if session.state != "running":
        session.wait()


def wait_with_progress(session: Session) -> None:
    """Block while ``session`` trains and keep one line of progress up to date; an interrupt pauses the training.

    Raises:
        TrialError: the trial's code raised.
        Interrupted: a person interrupted.
    """
    line = _Line()
    try:
        line.show(headline(session.record()))
        while session.wait(REFRESH_S) == "running":
            line.show(headline(session.record()))
    except KeyboardInterrupt:
        with interruptible(f"the training is held after the batch under way. {_HOW_TO_GO_ON}"):  # a long one, and interrupted again
            raise Interrupted(_pause(session)) from None
    finally:
        hint = f". {_HOW_TO_GO_ON}" if session.state == "paused" else ""
        line.end(f"{headline(session.record())}{hint}")


def _pause(session: Session) -> str:
    try:
        session.pause()
    except SessionError:
        return "the training was over at that moment."
    return "the training is paused."


class _Line:
    """One line that is written over: by display id in a notebook, by carriage return in a terminal, only its end in a file."""

    def __init__(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        shell: Any = get_ipython()
        self._handle: Any = None
        if getattr(shell, "kernel", None) is not None:
            self._handle = display({"text/plain": ""}, raw=True, display_id=True)
        self._width = 0

    def show(self, text: str) -> None:
        """Put ``text`` in the place of what stands there."""
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        elif sys.stdout.isatty():
            self._write(text, "")

    def end(self, text: str) -> None:
        """Put ``text`` there for good."""
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        else:
            self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        sys.stdout.write(f"\r{text:<{self._width}}{end}" if self._width else f"{text}{end}")
        sys.stdout.flush()
        self._width = len(text)
