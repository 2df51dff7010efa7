"""Wait until a training has begun, or until it has ended, with one line of progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detjupyter.magics.interruption import Interrupted, interruptible
from detjupyter.magics.line import Line
from detjupyter.picture.summary import headline

if TYPE_CHECKING:
    from detjupyter.session.session import Session

REFRESH_S = 0.5
PLAN_WITHIN_S = 0.2
FIRST_BATCH_WITHIN_S = 0.4
_HOW_TO_END_NOW = "If the batch does not end, `%det_stop --force` closes the session now; the run is kept."
_HOW_TO_CONTINUE = "`%det_resume` resumes it, `%det_stop` ends it."


def wait_for_plan(session: Session) -> None:
    """Wait briefly until a new training has determined its length, so that its first display can show it."""
    deadline = time.monotonic() + PLAN_WITHIN_S
    while session.state == "running" and session.record().plan_target_batches is None and time.monotonic() < deadline:
        time.sleep(0.002)


def wait_for_first_batch(session: Session) -> None:
    """Wait briefly for a failure of a new training, so that a missing data set or a typo becomes an error of the cell.

    Raises:
        TrialError: The trial's code raised an exception.
    """
    trained, deadline = session.batches_trained, time.monotonic() + FIRST_BATCH_WITHIN_S
    while session.state == "running" and time.monotonic() < deadline:
        if session.batches_trained > trained:
            return
        time.sleep(0.01)
    if session.state != "running":
        session.wait()


def wait_with_progress(session: Session) -> None:
    """Wait while ``session`` trains and update one line of progress; an interrupt pauses the training.

    Raises:
        TrialError: The trial's code raised an exception.
        Interrupted: The user interrupted.
    """
    line = Line()
    try:
        line.show(headline(session.record()))
        while session.wait(REFRESH_S) == "running":
            line.show(headline(session.record()))
    except KeyboardInterrupt:
        with interruptible(f"the training pauses after the current batch. {_HOW_TO_END_NOW}"):  # a second interrupt in a long batch
            raise Interrupted(_pause(session)) from None
    finally:
        hint = f". {_HOW_TO_CONTINUE}" if session.state == "paused" else ""
        line.end(f"{headline(session.record())}{hint}")


def _pause(session: Session) -> str:
    if session.pause_soon():
        return "the training is paused."
    if session.state != "running":
        return "the training had already ended."
    return f"the training pauses after the current batch. {_HOW_TO_END_NOW}"
