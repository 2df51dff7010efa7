"""The refusal of a request, with its reason."""

from __future__ import annotations

from tornado.web import HTTPError


class RefusedError(HTTPError):
    """A request that is answered with ``status``, ``message`` and ``hint`` instead of data."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(status)
        self.message = message
        self.hint = hint
