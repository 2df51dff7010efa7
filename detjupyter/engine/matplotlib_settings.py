"""The setting ``plt.rcParams`` of matplotlib. This module never imports matplotlib itself."""

from __future__ import annotations

import sys
from typing import Any

from detjupyter.engine.libraries import Library, Setting

#: Not restored: pyplot stores the backend in other places, too, and all of them must agree.
_BACKEND = ("backend", "interactive")


class _Parameters(Setting):
    """``plt.rcParams``. A value is a dict of all parameters except the backend."""

    name = "plt.rcParams"

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}
        self._whole: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:  # Any: parameters have various types
        """Return a copy of the parameters."""
        # Through the methods of dict: those of RcParams validate and warn, and take ten times as long.
        self._whole = dict(dict.items(sys.modules["matplotlib"].rcParams))
        self._seen = _without_backend(self._whole)
        return self._seen

    def write(self, value: dict[str, Any]) -> None:
        """Set the parameters that differ, without validation, since matplotlib has validated them before."""
        parameters = sys.modules["matplotlib"].rcParams
        for name, wanted in value.items():
            if dict.get(parameters, name) != wanted:
                dict.__setitem__(parameters, name, wanted)

    def holds(self, value: dict[str, Any]) -> bool:
        """Return whether these parameters are in force."""
        # Fast path for unchanged parameters: comparing two dicts with the same values creates no copy of the 300 parameters.
        if value is self._seen and dict.__eq__(sys.modules["matplotlib"].rcParams, self._whole) is True:
            return True
        return self.read() == value

    def initial(self) -> dict[str, Any]:
        """Return the parameters that the user's ``matplotlibrc`` sets."""
        return {**self.read(), **_without_backend(sys.modules["matplotlib"].rcParamsOrig)}

    def merged(self, before: dict[str, Any], after: dict[str, Any], onto: dict[str, Any]) -> dict[str, Any]:
        """Return ``onto`` with the parameters that differ between ``before`` and ``after``."""
        return {**onto, **{name: value for name, value in after.items() if name not in before or before[name] != value}}


def _without_backend(parameters: Any) -> dict[str, Any]:
    return {name: value for name, value in dict.items(parameters) if name not in _BACKEND}


LIBRARY = Library((_Parameters(),))
