"""``determined.errors`` as a model definition sees it."""

from __future__ import annotations

from detjupyter.compat.unavailable import OfferedNames

__all__ = [
    "InternalException",
    "InvalidDataTypeException",
    "InvalidExperimentException",
    "SkipWorkloadException",
    "StopLoadingImplementation",
    "WorkerError",
]

_names = OfferedNames(__name__)
__getattr__, __dir__ = _names.get, _names.list


class InvalidExperimentException(BaseException):
    """The configuration makes no sense. Not an ``Exception``, so that a definition's own ``except Exception`` does not swallow it."""


class InternalException(Exception):  # noqa: N818 -- Determined's name
    """Something that the definition could not have caused."""


class InvalidDataTypeException(Exception):  # noqa: N818
    """A definition gave data of a type that is not understood."""

    def __init__(self, data_type: type, message: str) -> None:
        super().__init__(f"{data_type}: {message}")
        self.data_type = data_type
        self.message = message


class SkipWorkloadException(Exception):  # noqa: N818
    """A piece of work is left out."""


class StopLoadingImplementation(Exception):  # noqa: N818
    """A script is read only as far as its model."""


class WorkerError(Exception):
    """A process of several failed."""
