"""The base of every Trial class."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from detjupyter.definition.isolation import finding


class InvalidHP(Exception):  # noqa: N818 -- the name that model definitions raise
    """Raised by a trial whose hyperparameters make no sense: its training ends in order, and a search tries others."""

    def __init__(self, msg: str = "the hyperparameters are invalid") -> None:
        super().__init__(msg)


class Trial(ABC):
    """What an entrypoint names: the class that builds a model, its data and one step of its training.

    Users derive from the Trial class of a framework (`detjupyter.pytorch.PyTorchTrial`, …). That class owes one thing: ``framework``,
    the name of the room that trains it. `detjupyter.training` imports ``detjupyter.<framework>.adapter`` by that name, so that adding
    a framework is adding a folder.
    """

    framework: ClassVar[str]

    def __repr__(self) -> str:
        """Return the class, and that a reload has replaced its code if one has."""
        stale = finding.staleness(self)
        return f"<{type(self).__qualname__}{f', {stale}' if stale else ''}>"
