"""Block until a training has begun, or until it is over with one line of progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detjupyter.errors import SessionError
from detjupyter.magics.interruption import Interrupted, interruptible
from detjupyter.magics.line import Line
from detjupyter.widgets.summary import headline

if TYPE_CHECKING:
    from detjupyter.training.session import Session

REFRESH_S = 0.5
PLAN_WITHIN_S = 0.2
FIRST_BATCH_WITHIN_S = 0.4
_HOW_TO_GO_ON = "`%det_resume` goes on, `%det_stop` ends it."


def wait_for_plan(session: Session) -> None:
    """Give a training that has just begun the time to find out how long it is, a moment at most, so that the first look can say it."""
    deadline = time.monotonic() + PLAN_WITHIN_S
    while session.state == "running" and session.record().plan_target_batches is None and time.monotonic() < deadline:
        time.sleep(0.002)


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
    line = Line()
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
