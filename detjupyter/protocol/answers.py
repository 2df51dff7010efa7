"""The answer of an engine to a command: a result or an error, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from detjupyter import errors
from detjupyter.errors import DetJupyterError


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as data, for the sender of a command: a class of :mod:`detjupyter.errors`, its text and its fields.

    An error of any other class arrives as a plain ``DetJupyterError`` that names the class.
    """

    name: str
    text: str
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException) -> ErrorAnswer:
        """Return ``error`` as data."""
        if not isinstance(error, DetJupyterError):
            return cls(type(error).__name__, text_of(error))
        plain = {name: value for name, value in vars(error).items() if _is_plain(value)}
        return cls(type(error).__name__, error.message, plain)

    def error(self) -> DetJupyterError:
        """Return the error."""
        known = getattr(errors, self.name, None)
        if not (isinstance(known, type) and issubclass(known, DetJupyterError)):
            return DetJupyterError(f"{self.name}: {self.text}")
        made: DetJupyterError = known.__new__(known, self.text)  # not by the constructor: its arguments differ by class
        made.args = (self.text,)
        vars(made).update(self.fields)
        return made


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the command ``id``: ``result`` or ``error``."""

    id: str
    result: Any = None  # plain data or a record of the protocol
    error: ErrorAnswer | None = None


def text_of(error: BaseException) -> str:
    """Return the text of ``error``. If its class (perhaps the user's) cannot produce one, return Python's default text."""
    try:
        return str(error)
    except Exception:
        return object.__repr__(error)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float, bool))
