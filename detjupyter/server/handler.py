"""The base of all REST handlers: services, checked ids, JSON input and output, errors as ``{message, hint}``."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

from detjupyter.errors import (
    ArgumentError,
    DefinitionError,
    DefinitionNotFoundError,
    DetJupyterError,
    ProtocolError,
    RunNotFoundError,
    SessionError,
    StoreError,
)
from detjupyter.protocol.messages import FailureRecord
from detjupyter.protocol.wire import to_json
from detjupyter.server.answers import RefusedError, as_magics, failure_of
from detjupyter.server.paths import root_of
from detjupyter.server.services import Services, services_of
from detjupyter.text import printable

RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
KERNEL_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

# the first match counts, so a class comes before its parents
_STATUS: tuple[tuple[type[DetJupyterError], int], ...] = (
    (RunNotFoundError, 404),
    (StoreError, 503),
    (DefinitionNotFoundError, 404),
    (DefinitionError, 400),
    (ProtocolError, 400),
    (SessionError, 409),
    (ArgumentError, 400),
)


class Handler(APIHandler):
    """The base class of the REST handlers. Jupyter's checks of login, origin and XSRF token all apply."""

    @property
    def services(self) -> Services:
        """The services that the handlers of this server share."""
        return services_of(self.settings)

    def answer(self, value: Any, *, status: int = 200) -> None:  # Any: any value that wire.encode accepts
        """Answer with ``value`` as JSON."""
        self.answer_json(to_json(value), status=status)

    def answer_json(self, text: str, *, status: int = 200) -> None:
        """Answer with ``text``, which is already JSON."""
        self.set_status(status)
        self.finish(text)

    def check_run_id(self, run_id: str) -> str:
        """Return ``run_id`` if it has the form of an id.

        Raises:
            RunNotFoundError: It does not, so there is no such run.
        """
        if not RUN_ID.fullmatch(run_id):
            raise RunNotFoundError(run_id[:80])
        return run_id

    def whole_number(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return the query argument ``name``, or ``default``.

        Raises:
            ProtocolError: It is not a whole number from ``low`` to ``high``.
        """
        text = self.get_query_argument(name, None)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise ProtocolError(f"`{name}` must be a whole number from {low:,} to {high:,}, not {text[:40]!r}.")
        return int(text)

    def json_body(self) -> dict[str, Any]:
        """Return the request's body, a JSON object.

        Raises:
            ProtocolError: It is not a JSON object.
        """
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:  # RecursionError: brackets nested too deep
            raise ProtocolError("The body of the request is not JSON.") from error
        if not isinstance(body, dict):
            raise ProtocolError("The body of the request is not a JSON object.")
        return body

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer a failed request, with the status of the error."""
        error = _error_of(kwargs)
        if isinstance(error, DetJupyterError):
            status_code = status_of(error)
        super().send_error(status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write ``{message, hint}``; never a traceback."""
        self.set_header("Content-Type", "application/json")
        self.finish(to_json(describe(_error_of(kwargs), status_code, root_of(self.settings))))

    def log_exception(self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        """Log an error of the user in one line, and an internal error with its traceback."""
        if isinstance(value, (DetJupyterError, RefusedError)):
            self.log.warning("detjupyter: %s %s: %s", self.request.method, printable(self.request.path), printable(value.message))
        else:
            super().log_exception(typ, value, tb)


def status_of(error: DetJupyterError) -> int:
    """Return the HTTP status of ``error``."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def describe(error: BaseException | None, status_code: int, root: Path) -> FailureRecord:
    """Return the body of the response for ``error``; paths in it are relative to ``root``, as all paths of the browser are."""
    if isinstance(error, RefusedError):
        return FailureRecord(error.message, as_magics(error.hint))
    if isinstance(error, HTTPError):
        text = (error.log_message or "").replace("%%", "%")  # tornado doubles them
        return FailureRecord(text or error.reason or responses.get(status_code, "Error"), None)
    failure = failure_of(error)
    return replace(failure, message=failure.message.replace(f"{root}{os.sep}", ""))


def _error_of(kwargs: dict[str, Any]) -> BaseException | None:
    exc_info = kwargs.get("exc_info")
    return exc_info[1] if exc_info else None
