"""Block until a training is over, with progress where no live view shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.display import display

from detjupyter.widgets.summary import headline

if TYPE_CHECKING:
    from detjupyter.training.session import Session

REFRESH_S = 0.5


def wait_with_progress(session: Session) -> None:
    """Block while ``session`` trains and keep one line of progress up to date; an interrupt pauses the training.

    Raises:
        TrialError: the trial's code raised.
    """
    line = display({"text/plain": headline(session.record())}, raw=True, display_id=True)
    try:
        while session.wait(REFRESH_S) == "running":
            line.update({"text/plain": headline(session.record())}, raw=True)
    except KeyboardInterrupt:
        if session.state == "running":
            session.pause()
        hint = "`%det_resume` goes on, `%det_stop` ends it."
        line.update({"text/plain": f"{headline(session.record())}. {hint}"}, raw=True)
        return
    line.update({"text/plain": headline(session.record())}, raw=True)
