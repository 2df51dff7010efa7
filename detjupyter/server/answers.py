"""What a browser shows when something fails: the refusal of a request, and errors as a message and a hint."""

from __future__ import annotations

from tornado.web import HTTPError

from detjupyter.errors import DetJupyterError
from detjupyter.next_step import Wording, worded
from detjupyter.protocol.messages import FailureRecord
from detjupyter.text import bounded


class RefusedError(HTTPError):
    """A request that is answered with ``status``, ``message`` and ``hint`` instead of data."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(status)
        self.message = bounded(message)
        self.hint = hint and bounded(hint)


def failure_of(error: BaseException | None) -> FailureRecord:
    """Return what a browser shows of ``error``: that of the user in its own words, of any other only where to look."""
    if isinstance(error, DetJupyterError):
        where = f"\n  in {error.where}" if error.where else ""
        return FailureRecord(f"{error.message}{where}", as_magics(error.hint))
    return FailureRecord("detjupyter's server extension failed.", "The log of the Jupyter server says where.")


def as_magics(hint: str | None) -> str | None:
    """Return ``hint`` with magics, because the user of the panel works in a notebook."""
    return None if hint is None else worded(hint, Wording.MAGICS)
