"""Warnings about a trial: what the user should probably correct, shown with the state of the session and as a line of its log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from detjupyter.protocol.events import Until

Receive = Callable[[str, Until], object]

_logger = logging.getLogger("detjupyter")


class _Delivery:
    """How the warnings of a thread find the trial that it works for."""

    receiver: Callable[[], Receive | None] = staticmethod(lambda: None)


def warn(text: str, until: Until = Until.LOAD) -> None:
    """Warn about the trial that the calling thread works for; a thread that works for none logs the warning.

    The same text is shown once until ``until``, so a check can warn each time that it finds the fault.

    Args:
        text: One or more sentences for the user.
        until: What ends the warning, because the fault can be gone then. The check must be repeated there.

    Thread: any.
    """
    receive = _Delivery.receiver()
    if receive is None:
        _logger.warning("%s", text)
    else:
        receive(text, until)


def deliver_to(receiver: Callable[[], Receive | None]) -> None:
    """Set the function that returns what takes the warnings of the calling thread. The engine calls this when it is imported."""
    _Delivery.receiver = staticmethod(receiver)
