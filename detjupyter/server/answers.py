"""What a request is answered with: JSON, or a refusal that says why."""

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


def to_json(value: Any) -> str:  # Any: whatever wire.encode takes
    """Return ``value`` as JSON that every browser reads (NaN and the infinities spelled as strings)."""
    return json.dumps(encode(value), allow_nan=False, separators=(",", ":"))
