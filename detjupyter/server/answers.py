"""Answers to requests: JSON, or a refusal with its reason."""

from __future__ import annotations

import json
from typing import Any

from tornado.web import HTTPError

from detjupyter.protocol.wire import encode


class RefusedError(HTTPError):
    """A request that is answered with ``status``, ``message`` and ``hint`` instead of data."""

    def __init__(self, status: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(status)
        self.message = message
        self.hint = hint


def to_json(value: Any) -> str:  # Any: any value that wire.encode accepts
    """Return ``value`` as JSON that every browser can parse (NaN and the infinities are strings)."""
    return json.dumps(encode(value), allow_nan=False, separators=(",", ":"))
