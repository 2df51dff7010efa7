"""The refusal of a request, with its reason."""

from __future__ import annotations

from tornado.web import HTTPError

from detjupyter.text import bounded


class RefusedError(HTTPError):
    """A request that is answered with ``status``, ``message`` and ``hint`` instead of data."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(status)
        self.message = bounded(message)
        self.hint = hint and bounded(hint)
