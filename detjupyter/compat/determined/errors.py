"""``determined.errors`` as a model definition sees it."""

from __future__ import annotations


class InvalidExperimentException(BaseException):
    """The configuration makes no sense. Not an ``Exception``, so that a definition's own ``except Exception`` does not swallow it."""


class InternalException(Exception):  # noqa: N818 -- Determined's name
    """Something that the definition could not have caused."""
