"""The base of every Trial class."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from detjupyter.definition.isolation import finding


class InvalidHP(Exception):  # noqa: N818 -- the name that model definitions raise
    """Raised by a trial for invalid hyperparameters: its training stops without an error, and a search tries other values."""

    def __init__(self, msg: str = "the hyperparameters are invalid") -> None:
        super().__init__(msg)


class Trial(ABC):
    """The class that an entrypoint names: it builds a model and its data, and trains one batch.

    Users derive from the Trial class of a framework (`detjupyter.pytorch.PyTorchTrial`, …). That class only has to define ``framework``,
    the name by which the framework is found (see :mod:`detjupyter.framework.framework`).
    """

    framework: ClassVar[str]

    def __repr__(self) -> str:
        """Return the name of the class, with a remark if a reload has replaced its code."""
        stale = finding.staleness(self)
        return f"<{type(self).__qualname__}{f', {stale}' if stale else ''}>"
